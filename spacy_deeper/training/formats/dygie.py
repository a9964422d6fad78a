"""DyGIE++'s JSON lines, which SciERC and PURE have as well: a document of sentences on each line.

    {"doc_key": "a1", "sentences": [["Ann", "left", "Oslo"], ["She", "loves", "Rome"]],
     "ner": [[[0, 0, "Per"], [2, 2, "Loc"]], [[5, 5, "Loc"]]],
     "relations": [[[0, 0, 2, 2, "Left"]], []]}

Offsets count the tokens of the document, and the ends are inclusive.
"""

from collections.abc import Hashable, Iterator
from itertools import chain
from typing import Any

from ...errors import Errors
from ..records import Entity, Link, Record
from ..report import Place, Report
from .util import JSON_NAMES, Keys, Source, check_keys, json_records

RECORD: Keys = {"sentences": (list,)}
OPTIONAL: Keys = {"doc_key": (str, int), "ner": (list,), "relations": (list,)}
# Annotations of kinds that we have no place for.
OTHER = ("events", "clusters")


def parse(source: Source, report: Report) -> Iterator[Record]:
    """Parse the documents of a DyGIE++ file."""
    for at, value in json_records(source):
        if isinstance(value, dict) and "doc_key" in value:
            at = at.within(f"document {value['doc_key']}")
        check_keys(value, RECORD, at, OPTIONAL)
        sentences = value["sentences"]
        _check_sentences(sentences, at)
        record = Record(at, words=list(chain(*sentences)), id=value.get("doc_key"))
        record.sent_starts = [i == 0 for sentence in sentences for i in range(len(sentence))]
        first: dict[tuple[int, int], Hashable] = {}
        for i, (start, end, label, *_) in enumerate(_rows(value, "ner", 2, at)):
            # Predictions have scores after the label.
            record.entities[i] = Entity(start, end + 1, label, f"entity [{start}, {end}, {label}]")
            first.setdefault((start, end), i)
        for h_start, h_end, t_start, t_end, label, *_ in _rows(value, "relations", 4, at):
            name = f"relation [{h_start}, {h_end}, {t_start}, {t_end}, {label}]"
            spans = ((h_start, h_end), (t_start, t_end))
            head, tail = (first.get(span, span) for span in spans)
            record.relations.append(Link(head, tail, label, name))
        for kind in OTHER:
            if (found := value.get(kind)) and found != [[]] * len(found):
                report.ignored(at, kind, f"{kind} of {at.place}", "no entities or relations")
        yield record


def _check_sentences(sentences: list[Any], at: Place) -> None:
    for number, sentence in enumerate(sentences):
        here = at.within(f"sentence {number}")
        if type(sentence) is not list:
            found = JSON_NAMES[type(sentence)]
            raise ValueError(Errors.D142.format(where=here, found=found))
        for word in sentence:
            if type(word) is not str or not word:
                found = "an empty string" if word == "" else JSON_NAMES[type(word)]
                raise ValueError(Errors.D142.format(where=here, found=f"a list with {found}"))


def _rows(value: dict[str, Any], key: str, offsets: int, at: Place) -> Iterator[list[Any]]:
    """Check and return the rows of all sentences: some offsets, a label, and perhaps scores."""
    per_sentence = value.get(key, [])
    if len(per_sentence) not in (0, len(value["sentences"])):
        count = len(value["sentences"])
        raise ValueError(
            Errors.D143.format(where=at, key=key, found=len(per_sentence), count=count)
        )
    for number, rows in enumerate(per_sentence):
        for row in rows if type(rows) is list else [rows]:
            if (
                type(row) is not list
                or len(row) <= offsets
                or any(type(offset) is not int for offset in row[:offsets])
                or type(row[offsets]) is not str
            ):
                here = at.within(f"'{key}' of sentence {number}")
                raise ValueError(Errors.D144.format(where=here, row=row, offsets=offsets))
            yield row
