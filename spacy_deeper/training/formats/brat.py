"""brat's standoff format: a text file, and an annotation file beside it with the suffix `.ann`.

    T1	Per 0 3	Ann
    T2	Loc 9 13	Oslo
    R1	Left Arg1:T1 Arg2:T2

Offsets count the characters of the text file. A text of several fragments ("0 3;9 13") is taken
from its first to its last character. Attributes, notes, normalizations and equivalences have no
place in a doc; events are refused.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from spacy.tokens import Doc, Span

from ...errors import Errors
from ..records import Entity, Link, Record, writable
from ..report import Place, Report
from .util import BOM, Source

SUFFIX = ".ann"
TEXT_BOUND = re.compile(r"(?P<label>\S+) (?P<offsets>\d+ \d+(;\d+ \d+)*)")
RELATION = re.compile(r"(?P<label>\S+)\s+(?P<args>\S+:\S+\s+\S+:\S+)\s*")
OTHER = {
    "A": "attributes",
    "M": "attributes",
    "N": "normalizations",
    "#": "notes",
    "*": "equivalences",
}


def parse(source: Source, report: Report) -> Iterator[Record]:
    """Parse a text with its annotations: one document."""
    ann, txt = (Source.of(source.path.with_suffix(suffix)) for suffix in (SUFFIX, ".txt"))
    text = txt.text()
    # brat counts a byte order mark, which `text` leaves out.
    shift = txt.bytes().startswith(BOM.encode())
    record = Record(ann.at(), text, id=source.path.stem)
    for number, line in ann.lines():
        at = ann.at(f"line {number}")
        id, _, rest = line.partition("\t")
        if not line.strip():
            continue
        if not id:
            raise _bad_line(at, line)
        if id in record.entities:
            raise ValueError(Errors.D123.format(where=at, id=id))
        if id[0] == "T":
            record.entities[id] = _parse_entity(id, rest, text, int(shift), at, report)
        elif id[0] == "R":
            record.relations.append(_parse_relation(id, rest, at))
        elif id[0] == "E":
            raise ValueError(Errors.D139.format(where=at, id=id, type=rest.split(":")[0]))
        elif id[0] in OTHER:
            report.ignored(at, OTHER[id[0]], line, "no entities or relations")
        else:
            raise _bad_line(at, line)
    yield record


def _parse_entity(id: str, rest: str, text: str, shift: int, at: Place, report: Report) -> Entity:
    bound, _, mention = rest.partition("\t")
    match = TEXT_BOUND.fullmatch(bound)
    if match is None:
        raise _bad_line(at, f"{id} {rest}")
    offsets = [int(i) - shift for i in re.split("[ ;]", match["offsets"])]
    fragments = list(zip(offsets[::2], offsets[1::2], strict=True))
    start, end = min(offsets), max(offsets)
    if end <= len(text):  # beyond it is an error of its own
        found = " ".join(text[i:j] for i, j in fragments)
        if mention and _squeeze(found) != _squeeze(mention):
            raise ValueError(
                Errors.D132.format(where=at, start=start, end=end, found=found, mention=mention)
            )
        # brat itself cuts a text at line breaks: that is no gap.
        if any(text[j:i].strip() for (_, j), (i, _) in pairwise(fragments)):
            item = f"{found} ({match['label']}) → {text[start:end]}"
            reason = "discontinuous: taken from its first to its last character"
            report.repaired(at, "entities", item, reason)
    return Entity(start, end, match["label"], f"entity {id} on {at.place}")


def _parse_relation(id: str, rest: str, at: Place) -> Link:
    match = RELATION.fullmatch(rest)
    args = dict(arg.split(":", 1) for arg in match["args"].split()) if match else {}
    if match is None or set(args) != {"Arg1", "Arg2"}:
        raise _bad_line(at, f"{id} {rest}")
    return Link(args["Arg1"], args["Arg2"], match["label"], f"relation {id} on {at.place}")


def _bad_line(at: Place, line: str) -> ValueError:
    return ValueError(Errors.D141.format(where=at, line=line[:60]))


def _squeeze(text: str) -> str:
    return " ".join(text.split())


def write(docs: Iterator[Doc], path: Path, report: Report) -> None:
    """Write docs to a folder, two files for each."""
    path.mkdir()
    for index, doc, entities, relations in writable(docs, report):
        name = f"{index:06}"
        if id := str(doc.user_data.get("orig_id", "")):
            name += "-" + re.sub(r"[^\w.-]", "_", id)[:80]
        at = Place(f"{name}{SUFFIX}")
        lines = []
        for i, span in enumerate(entities, start=1):
            label = _one_word(span.label_, "entities", at, report)
            offsets, mention = _fragments(span)
            lines.append(f"T{i}\t{label} {offsets}\t{mention}\n")
        for i, (head, tail, label, _) in enumerate(relations, start=1):
            label = _one_word(label, "relations", at, report)
            lines.append(f"R{i}\t{label} Arg1:T{head + 1} Arg2:T{tail + 1}\n")
        # A name may have a dot: not with_suffix.
        for suffix, text in ((".txt", doc.text), (SUFFIX, "".join(lines))):
            (path / (name + suffix)).write_bytes(text.encode())


def _fragments(span: Span) -> tuple[str, str]:
    """Return the offsets and the text of a span, cut at line breaks as brat wants it."""
    pieces = [
        (span.start_char + match.start(), span.start_char + match.end(), match[0])
        for match in re.finditer(r"[^\r\n]+", span.text)
    ]
    offsets = ";".join(f"{start} {end}" for start, end, _ in pieces)
    return offsets, " ".join(piece for _, _, piece in pieces)


def _one_word(label: str, what: str, at: Place, report: Report) -> str:
    word = re.sub(r"\s", "_", label)
    if word != label:
        report.repaired(at, what, label, "brat's labels have no white space: replaced by _")
    return word
