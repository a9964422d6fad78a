"""SpERT's JSON: token lists, entities as token offsets, relations as pairs of entity indices.

    [{"tokens": ["Ann", "lives", "in", "Oslo"],
      "entities": [{"type": "Per", "start": 0, "end": 1}, {"type": "Loc", "start": 3, "end": 4}],
      "relations": [{"type": "Live_In", "head": 0, "tail": 1}],
      "orig_id": 7}]

Or one such record on each line (JSON lines), which is what is written. `orig_id` is optional.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spacy.tokens import Doc

from ...errors import Errors
from ..records import Entity, Link, Record, writable
from ..report import Place, Report
from .util import JSON_NAMES, Keys, Source, check_keys, json_records

RECORD: Keys = {"tokens": (list,), "entities": (list,), "relations": (list,)}
RECORD_OPTIONAL: Keys = {"orig_id": (int, str)}
ENTITY: Keys = {"type": (str,), "start": (int,), "end": (int,)}
RELATION: Keys = {"type": (str,), "head": (int,), "tail": (int,)}


def parse(source: Source, report: Report) -> Iterator[Record]:
    """Parse the records of a SpERT file."""
    for index, (_, record) in enumerate(json_records(source)):
        at = source.at(f"record {index}")
        if isinstance(record, dict) and "orig_id" in record:
            at = source.at(f"record {index} (orig_id {record['orig_id']})")
        check_keys(record, RECORD, at, RECORD_OPTIONAL, others=False)
        result = Record(at, words=_get_words(record, at), id=record.get("orig_id"))
        for i, entity in enumerate(record["entities"]):
            name = f"entity {i}"
            check_keys(entity, ENTITY, at.within(name), others=False)
            result.entities[i] = Entity(entity["start"], entity["end"], entity["type"], name)
        for i, relation in enumerate(record["relations"]):
            name = f"relation {i}"
            check_keys(relation, RELATION, at.within(name), others=False)
            head, tail, label = relation["head"], relation["tail"], relation["type"]
            result.relations.append(Link(head, tail, label, name))
        yield result


def _get_words(record: dict[str, Any], at: Place) -> list[str]:
    words = record["tokens"]
    if not words:
        raise ValueError(Errors.D116.format(where=at))
    for index, word in enumerate(words):
        if not isinstance(word, str) or not word:
            found = "empty" if word == "" else JSON_NAMES[type(word)]
            raise ValueError(Errors.D117.format(where=at, index=index, found=found))
    return words


def write(docs: Iterator[Doc], path: Path, report: Report) -> None:
    """Write docs as JSON lines."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for _, doc, entities, relations in writable(docs, report):
            record: dict[str, Any] = {
                "tokens": [token.text for token in doc],
                "entities": [
                    {"type": span.label_, "start": span.start, "end": span.end} for span in entities
                ],
                "relations": [
                    {"type": label, "head": head, "tail": tail}
                    for head, tail, label, _ in relations
                ],
            }
            if "orig_id" in doc.user_data:
                record["orig_id"] = doc.user_data["orig_id"]
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
