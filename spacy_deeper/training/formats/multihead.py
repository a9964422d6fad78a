"""The text format of multi-head selection (Bekoulis et al. 2018): a token on each line.

    #doc 7
    0	Ann	B-Per	['N']	[0]
    1	Berg	I-Per	['Live_In']	[3]
    2	left	O	['N']	[2]
    3	Oslo	B-Loc	['N']	[3]

A relation stands on the last token of its head, with the index of the last token of its tail; a
token without relations has the label N. Documents may be separated by blank lines.
"""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from ...errors import Errors
from ..records import Entity, Link, Record
from ..report import Place, Report
from .util import Source

DOC = re.compile(r"#doc\s+(?P<id>.+)")
NO_RELATION = "N"


class Row(NamedTuple):
    """A token, its tag, and the relations that stand on it, as (label, last token of the tail)."""

    at: Place
    word: str
    tag: str
    relations: list[tuple[str, int]]


def parse(source: Source, report: Report) -> Iterator[Record]:
    """Parse the documents of a multi-head-selection file."""
    at, id, rows = source.at(), "", list[Row]()
    for number, line in source.lines():
        line_at = at.within(f"line {number}") if id else source.at(f"line {number}")
        if match := DOC.match(line):
            if rows:
                yield _to_record(at, id, rows, report)
            id, rows = match["id"].strip(), []
            at = source.at(f"document {id}")
        elif line.strip():
            if not id:
                raise ValueError(Errors.D137.format(where=line_at))
            rows.append(_parse_row(line, len(rows), line_at))
    if rows:
        yield _to_record(at, id, rows, report)


def _parse_row(line: str, index: int, at: Place) -> Row:
    try:
        number, word, tag, labels_text, tails_text = line.split("\t")
        labels, tails = ast.literal_eval(labels_text), ast.literal_eval(tails_text)
        if int(number) != index or not word or not re.fullmatch(r"O|[BI]-.+", tag):
            raise ValueError
        if {type(labels), type(tails)} != {list} or len(labels) != len(tails):
            raise ValueError
        if not all(type(label) is str for label in labels) or not all(
            type(i) is int for i in tails
        ):
            raise ValueError
    # literal_eval says in many ways that a text is no literal.
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        raise ValueError(Errors.D138.format(where=at, index=index, line=line[:60])) from None
    pairs = zip(labels, tails, strict=True)
    return Row(at, word, tag, [(label, i) for label, i in pairs if label != NO_RELATION])


def _to_record(at: Place, id: str, rows: list[Row], report: Report) -> Record:
    record = Record(at, words=[row.word for row in rows], id=id)
    start = 0
    for i, row in enumerate(rows):
        tag, previous = row.tag, rows[i - 1].tag if i else "O"
        if tag.startswith("I-") and previous[2:] != tag[2:]:
            item = f"{row.word} ({tag})"
            report.repaired(row.at, "entities", item, "an I- tag without its B- opens an entity")
            start = i
        if tag.startswith("B-"):
            start = i
        following = rows[i + 1].tag if i + 1 < len(rows) else "O"
        if tag != "O" and following != f"I-{tag[2:]}":
            name = f"entity that ends with token {i}"
            # Relations name an entity by its last token.
            record.entities[i] = Entity(start, i + 1, tag[2:], name)
        for label, tail in row.relations:
            record.relations.append(Link(i, tail, label, f"relation on token {i}"))
    return record
