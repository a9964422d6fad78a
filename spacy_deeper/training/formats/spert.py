"""SpERT's JSON: token lists, entities as token offsets, relations as pairs of entity indices.

    [{"tokens": ["Ann", "lives", "in", "Oslo"],
      "entities": [{"type": "Per", "start": 0, "end": 1}, {"type": "Loc", "start": 3, "end": 4}],
      "relations": [{"type": "Live_In", "head": 0, "tail": 1}],
      "orig_id": 7}]

A `.jsonl` file has one such record per line. `orig_id` is optional.
"""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from ...errors import Errors
from ...relations import Relation, set_relations
from .util import read_text

Keys = dict[str, tuple[type, ...]]

RECORD: Keys = {"tokens": (list,), "entities": (list,), "relations": (list,)}
RECORD_OPTIONAL: Keys = {"orig_id": (int, str)}
ENTITY: Keys = {"type": (str,), "start": (int,), "end": (int,)}
RELATION: Keys = {"type": (str,), "head": (int,), "tail": (int,)}

JSON_NAMES = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal number",
    type(None): "null",
}


def read(path: Path, nlp: Language) -> Iterator[Doc]:
    """Read the records of a SpERT file.

    The docs have unknown spaces, so that spaCy's `Corpus` trains on the given tokens.
    """
    for index, record in enumerate(_read_records(path)):
        where = f"{path}, record {index}"
        if isinstance(record, dict) and "orig_id" in record:
            where += f" (orig_id {record['orig_id']})"
        try:
            doc = _to_doc(record, nlp.vocab, where)
        except UnicodeEncodeError as err:
            raise ValueError(Errors.D125.format(where=where, problem=err.reason)) from None
        yield doc


def _read_records(path: Path) -> Iterator[Any]:
    text = read_text(path)
    if path.suffix.lower() == ".jsonl":
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield _parse(line, path, number)
        return
    records = _parse(text, path)
    if not isinstance(records, list):
        raise ValueError(Errors.D111.format(path=path, found=JSON_NAMES[type(records)]))
    yield from records


def _parse(text: str, path: Path, first_line: int = 1) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as err:
        line = first_line + err.lineno - 1
        raise ValueError(
            Errors.D110.format(path=path, line=line, column=err.colno, problem=err.msg)
        ) from None


def _to_doc(record: Any, vocab: Vocab, where: str) -> Doc:
    _check_keys(record, RECORD, where, optional=RECORD_OPTIONAL)
    doc = Doc(vocab, words=_get_words(record, where))
    ents = _get_ents(doc, record["entities"], where)
    # set_ents sorts: relations index into the record's own order.
    doc.set_ents(ents)
    set_relations(doc, _get_relations(ents, record["relations"], where))
    if "orig_id" in record:
        doc.user_data["orig_id"] = record["orig_id"]
    return doc


def _get_words(record: dict[str, Any], where: str) -> list[str]:
    words = record["tokens"]
    if not words:
        raise ValueError(Errors.D116.format(where=where))
    for index, word in enumerate(words):
        if not isinstance(word, str) or not word:
            found = "empty" if word == "" else JSON_NAMES[type(word)]
            raise ValueError(Errors.D117.format(where=where, index=index, found=found))
    return words


def _get_ents(doc: Doc, entities: list[Any], where: str) -> list[Span]:
    ents = []
    for index, entity in enumerate(entities):
        here = f"{where}, entity {index}"
        _check_keys(entity, ENTITY, here)
        start, end = entity["start"], entity["end"]
        if not 0 <= start < end <= len(doc):
            raise ValueError(Errors.D118.format(where=here, start=start, end=end, length=len(doc)))
        ents.append(Span(doc, start, end, label=entity["type"]))
    order = sorted(range(len(ents)), key=lambda i: (ents[i].start, i))
    for i, j in pairwise(order):
        if ents[j].start < ents[i].end:
            i, j = sorted((i, j))
            error = Errors.D120 if ents[i] == ents[j] else Errors.D119
            raise ValueError(
                error.format(
                    where=where, first=i, second=j, first_text=ents[i], second_text=ents[j]
                )
            )
    return ents


def _get_relations(ents: list[Span], relations: list[Any], where: str) -> list[Relation]:
    seen: dict[tuple[int, int, str], Relation] = {}
    for index, relation in enumerate(relations):
        here = f"{where}, relation {index}"
        _check_keys(relation, RELATION, here)
        for key in ("head", "tail"):
            if not 0 <= relation[key] < len(ents):
                raise ValueError(
                    Errors.D121.format(where=here, key=key, value=relation[key], count=len(ents))
                )
        i, j, label = relation["head"], relation["tail"], relation["type"]
        head, tail = ents[i], ents[j]
        if i == j:
            raise ValueError(Errors.D122.format(where=here, text=head))
        if (i, j, label) in seen:
            raise ValueError(Errors.D123.format(where=here, head=head, label=label, tail=tail))
        seen[i, j, label] = Relation(head, tail, label)
    return list(seen.values())


def _check_keys(value: Any, required: Keys, where: str, optional: Keys | None = None) -> None:
    keys = {**required, **(optional or {})}
    known = ", ".join(keys)
    if not isinstance(value, dict):
        found = JSON_NAMES[type(value)]
        raise ValueError(Errors.D112.format(where=where, keys=known, found=found))
    for key in value:
        if key not in keys:
            raise ValueError(Errors.D114.format(where=where, key=key, keys=known))
    for key in required:
        if key not in value:
            raise ValueError(Errors.D113.format(where=where, key=key, keys=known))
    for key, item in value.items():
        # Not isinstance: a bool is an int to Python, and is none to us.
        if type(item) not in keys[key]:
            expected = " or ".join(JSON_NAMES[kind] for kind in keys[key])
            found = JSON_NAMES[type(item)]
            raise ValueError(
                Errors.D115.format(where=where, key=key, expected=expected, found=found)
            )
        if key == "type" and not item.strip():
            raise ValueError(Errors.D124.format(where=where, key=key))
