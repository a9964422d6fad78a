"""Prodigy's JSON lines of the recipe rel.manual, as `db-out` writes them: a text on each line.

    {"text": "Ann left Oslo", "answer": "accept",
     "tokens": [{"text": "Ann", "start": 0, "end": 3, "id": 0, "ws": true}, ...],
     "spans": [{"start": 0, "end": 3, "label": "Per", "token_start": 0, "token_end": 0}, ...],
     "relations": [{"head": 0, "child": 2, "label": "Left",
                    "head_span": {"start": 0, "end": 3, "label": "Per", ...},
                    "child_span": {"start": 9, "end": 13, "label": "Loc", ...}}]}

A relation goes from its head to its child. They are spans or, with the label null, plain tokens.
"""

from collections.abc import Iterator
from typing import Any

from ...errors import Errors
from ..records import Entity, Link, Record
from ..report import Place, Report
from .util import Keys, Source, check_keys, json_records

TASK: Keys = {"text": (str,)}
OPTIONAL: Keys = {
    "tokens": (list,),
    "spans": (list, type(None)),
    "relations": (list, type(None)),
    "answer": (str,),
}
TOKEN: Keys = {"text": (str,), "start": (int,), "end": (int,)}
SPAN: Keys = {"start": (int,), "end": (int,)}
LABEL: Keys = {"label": (str, type(None))}
RELATION: Keys = {"head": (int,), "child": (int,), "label": (str,)}
ARGUMENTS: Keys = {"head_span": (dict,), "child_span": (dict,)}


def parse(source: Source, report: Report) -> Iterator[Record]:
    """Parse the accepted tasks of a Prodigy file."""
    for at, task in json_records(source):
        check_keys(task, TASK, at, OPTIONAL)
        answer = task.get("answer", "accept")
        if answer != "accept":
            report.ignored(at, "documents", task["text"], f"the answer is '{answer}'", read=1)
            continue
        tokens = task.get("tokens")
        for i, token in enumerate(tokens or ()):
            check_keys(token, TOKEN, at.within(f"token {i}"))
        record = Record(at, task["text"], tokens and [token["text"] for token in tokens])
        id = task.get("_task_hash")
        record.id = id if type(id) in (int, str) else None
        for i, span in enumerate(task.get("spans") or ()):
            name = f"span {i}"
            check_keys(span, SPAN, at.within(name), LABEL)
            start, end, label = span["start"], span["end"], span.get("label")
            if label:
                # The first of the spans at a place is the one that relations mean.
                key = (start, end) if (start, end) not in record.entities else (start, end, i)
                record.entities[key] = Entity(start, end, label, name)
            else:
                item = task["text"][max(start, 0) : max(end, 0)]
                report.ignored(at.within(name), "spans", item, "no label, so no entity")
        for i, relation in enumerate(task.get("relations") or ()):
            here = at.within(f"relation {i}")
            check_keys(relation, RELATION, here, ARGUMENTS)
            head = _find(relation, "head", tokens or [], record, here)
            child = _find(relation, "child", tokens or [], record, here)
            if head in record.entities and child in record.entities:
                record.relations.append(Link(head, child, relation["label"], f"relation {i}"))
            else:
                item = f"{relation['head']} --{relation['label']}--> {relation['child']}"
                report.dropped(here, "relations", item, "an argument is no entity", read=1)
        yield record


def _find(
    relation: dict[str, Any], role: str, tokens: list[Any], record: Record, at: Place
) -> tuple[int, int] | None:
    """Return the offsets of an argument: of its span or, in old exports, the span of its token."""
    span = relation.get(f"{role}_span")
    if span is not None:
        check_keys(span, SPAN, at.within(f"{role}_span"))
        return span["start"], span["end"]
    index = relation[role]
    if not 0 <= index < len(tokens):
        raise ValueError(Errors.D145.format(where=at, role=role, index=index, count=len(tokens)))
    start, end = tokens[index]["start"], tokens[index]["end"]
    covering = (e for e in record.entities.values() if e.start <= start and end <= e.end)
    return next(((e.start, e.end) for e in covering), None)
