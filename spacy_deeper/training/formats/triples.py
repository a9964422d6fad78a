"""Relations alone, one on each line: a table for spreadsheets (CSV), or JSON lines."""

import json
from collections.abc import Iterator
from pathlib import Path

from spacy.tokens import Doc

from ...compat import write_csv_row
from ..records import writable
from ..report import Place, Report

ENTITY = ("text", "start", "end", "type")
COLUMNS = ("doc", *(f"head_{e}" for e in ENTITY), "label", *(f"tail_{e}" for e in ENTITY), "score")


def write(docs: Iterator[Doc], path: Path, report: Report) -> None:
    """Write relations as CSV with a header, or as JSON lines, if that is the suffix."""
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".jsonl":
            file.writelines(
                json.dumps(row, ensure_ascii=False) + "\n" for row in _rows(docs, report)
            )
            return
        write_csv_row(file, COLUMNS)
        for row in _rows(docs, report):
            write_csv_row(file, row.values())


def _rows(docs: Iterator[Doc], report: Report) -> Iterator[dict[str, object]]:
    for index, doc, entities, relations in writable(docs, report):
        id = doc.user_data.get("orig_id", index)
        used = {i for head, tail, _, _ in relations for i in (head, tail)}
        for i, span in enumerate(entities):
            if i not in used:
                at = Place("", f"document {id}")
                report.written["entities"] -= 1
                item = f"{span} ({span.label_})"
                report.ignored(at, "entities", item, "in no relation, and triples are relations")
        for head, tail, label, score in relations:
            row: dict[str, object] = {"doc": id, "label": label, "score": score}
            for role, span in (("head", entities[head]), ("tail", entities[tail])):
                values = (span.text, span.start_char, span.end_char, span.label_)
                row |= {f"{role}_{key}": value for key, value in zip(ENTITY, values, strict=True)}
            yield {column: row[column] for column in COLUMNS}
