"""A format to be written by hand: a text with its entities in brackets, then its relations.

    # A comment.
    [Ann Berg](Per) moved from [Oslo](Loc) to [Bergen](Loc).
      Ann Berg --Live_In--> Bergen

Blank lines separate the records. `Oslo#2` is the second entity with the text `Oslo`. In the text,
a backslash makes a literal bracket: `\\[` and `\\]`.
"""

import re
from collections.abc import Iterator
from itertools import groupby

from ...errors import Errors
from ..records import Entity, Link, Record
from ..report import Place, Report
from .util import Source

# A line and its number in the file.
Line = tuple[int, str]

ENTITY = re.compile(r"(?<!\\)\[((?:\\[\[\]]|[^\[\]])*)(?<!\\)\]\(([^\[\]()]*)\)")
UNBALANCED = re.compile(r"(?<!\\)\[|(?<!\\)\]\(")
ESCAPED = re.compile(r"\\([\[\]])")
RELATION = re.compile(r"  (?P<head>\S.*?) --(?P<label>\S+?)--> (?P<tail>\S.*)")
NUMBERED = re.compile(r"(?P<mention>.+)#(?P<number>\d+)")


def parse(source: Source, report: Report) -> Iterator[Record]:
    """Parse the records of a markup file."""
    numbered = ((number, line.rstrip()) for number, line in source.lines())
    lines = (line for line in numbered if not line[1].startswith("#"))
    for has_text, record in groupby(lines, key=lambda line: bool(line[1])):
        if has_text:
            yield _parse_record(list(record), source)


def _parse_record(lines: list[Line], source: Source) -> Record:
    (number, text), *relation_lines = lines
    at = source.at(f"line {number}")
    if text.startswith("  "):
        raise ValueError(Errors.D136.format(where=at))
    record = _parse_text(text, at)
    for number, line in relation_lines:
        at = source.at(f"line {number}")
        match = RELATION.fullmatch(line)
        if match is None:
            raise ValueError(Errors.D135.format(where=at, line=line))
        head, tail = (_find_entity(match[role], record, at) for role in ("head", "tail"))
        record.relations.append(Link(head, tail, match["label"], f"relation on line {number}"))
    return record


def _parse_text(line: str, at: Place) -> Record:
    # Splitting by a pattern with two groups: text, (mention, label, text), ...
    pieces = ENTITY.split(line)
    text = ""
    record = Record(at)
    for i, piece in enumerate(pieces):
        if i % 3 == 0 and (stray := UNBALANCED.search(piece)):
            raise ValueError(Errors.D130.format(where=at, snippet=piece[stray.start() :][:20]))
        if i % 3 == 2:
            continue
        piece = ESCAPED.sub(r"\1", piece)
        if i % 3 == 1:
            label = pieces[i + 1].strip()
            if not piece.strip() or not label:
                raise ValueError(Errors.D131.format(where=at, mention=piece, label=label))
            name = f"entity [{piece}]({label})"
            record.entities[i] = Entity(len(text), len(text) + len(piece), label, name)
        text += piece
    record.text = text
    return record


def _find_entity(mention: str, record: Record, at: Place) -> object:
    text = record.text or ""
    mentions = {key: text[e.start : e.end] for key, e in record.entities.items()}
    found = [key for key, other in mentions.items() if other == mention]
    if len(found) > 1:
        raise ValueError(Errors.D134.format(where=at, mention=mention, count=len(found)))
    if not found and (match := NUMBERED.fullmatch(mention)):
        named = [key for key, other in mentions.items() if other == match["mention"]]
        number = int(match["number"])
        found = named[number - 1 : number] if number > 0 else []
    if not found:
        known = ", ".join(f"'{other}'" for other in mentions.values()) or "none"
        raise ValueError(Errors.D133.format(where=at, mention=mention, known=known))
    return found[0]
