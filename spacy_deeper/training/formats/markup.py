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
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc, Span

from ...errors import Errors
from ...relations import Relation, set_relations
from .util import read_text

# A line and its number in the file.
Line = tuple[int, str]

ENTITY = re.compile(r"(?<!\\)\[((?:\\[\[\]]|[^\[\]])*)(?<!\\)\]\(([^\[\]()]*)\)")
UNBALANCED = re.compile(r"(?<!\\)\[|(?<!\\)\]\(")
ESCAPED = re.compile(r"\\([\[\]])")
RELATION = re.compile(r"  (?P<head>\S.*?) --(?P<label>\S+?)--> (?P<tail>\S.*)")
NUMBERED = re.compile(r"(?P<mention>.+)#(?P<number>\d+)")


def read(path: Path, nlp: Language) -> Iterator[Doc]:
    """Read the records of a markup file, tokenized by the pipeline's tokenizer."""
    numbered = enumerate((line.rstrip() for line in read_text(path).split("\n")), start=1)
    lines = [line for line in numbered if not line[1].startswith("#")]
    for has_text, record in groupby(lines, key=lambda line: bool(line[1])):
        if has_text:
            yield _to_doc(list(record), nlp, path)


def _to_doc(record: list[Line], nlp: Language, path: Path) -> Doc:
    (number, text), *relation_lines = record
    where = f"{path}, line {number}"
    if text.startswith("  "):
        raise ValueError(Errors.D136.format(where=where))
    doc = _parse_text(text, nlp, where)
    seen: dict[tuple[int, int, str], Relation] = {}
    for number, line in relation_lines:
        where = f"{path}, line {number}"
        head, tail, label, _ = relation = _parse_relation(line, doc, where)
        if head == tail:
            raise ValueError(Errors.D122.format(where=where, text=head))
        if (head.start, tail.start, label) in seen:
            raise ValueError(Errors.D123.format(where=where, head=head, label=label, tail=tail))
        seen[head.start, tail.start, label] = relation
    set_relations(doc, list(seen.values()))
    return doc


def _parse_text(line: str, nlp: Language, where: str) -> Doc:
    # Splitting by a pattern with two groups: text, (mention, label, text), ...
    pieces = ENTITY.split(line)
    text = ""
    offsets = []
    for i, piece in enumerate(pieces):
        if i % 3 == 0 and (stray := UNBALANCED.search(piece)):
            raise ValueError(Errors.D130.format(where=where, snippet=piece[stray.start() :][:20]))
        if i % 3 == 2:
            continue
        piece = ESCAPED.sub(r"\1", piece)
        if i % 3 == 1:
            label = pieces[i + 1].strip()
            if not piece.strip() or not label:
                raise ValueError(Errors.D131.format(where=where, mention=piece, label=label))
            offsets.append((len(text), len(text) + len(piece), label))
        text += piece
    doc = nlp.make_doc(text)
    doc.set_ents([_get_ent(doc, start, end, label, where) for start, end, label in offsets])
    return doc


def _get_ent(doc: Doc, start: int, end: int, label: str, where: str) -> Span:
    span = doc.char_span(start, end, label=label)
    mention = doc.text[start:end]
    if span is None or mention != mention.strip():
        around = (token for token in doc if token.idx < end and token.idx + len(token) > start)
        tokens = ", ".join(f"'{token}'" for token in around)
        raise ValueError(Errors.D132.format(where=where, mention=mention, tokens=tokens))
    return span


def _parse_relation(line: str, doc: Doc, where: str) -> Relation:
    match = RELATION.fullmatch(line)
    if match is None:
        raise ValueError(Errors.D135.format(where=where, line=line))
    head = _find_ent(match["head"], doc, where)
    return Relation(head, _find_ent(match["tail"], doc, where), match["label"])


def _find_ent(mention: str, doc: Doc, where: str) -> Span:
    found = [ent for ent in doc.ents if ent.text == mention]
    if len(found) > 1:
        raise ValueError(Errors.D134.format(where=where, mention=mention, count=len(found)))
    if not found and (match := NUMBERED.fullmatch(mention)):
        named = [ent for ent in doc.ents if ent.text == match["mention"]]
        number = int(match["number"])
        found = named[number - 1 : number] if number > 0 else []
    if not found:
        known = ", ".join(f"'{ent}'" for ent in doc.ents) or "none"
        raise ValueError(Errors.D133.format(where=where, mention=mention, known=known))
    return found[0]
