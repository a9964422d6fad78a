"""Relations between two spans of a `Doc`, as `doc._.relations`.

What is stored, in `doc.user_data`, is plain data that every spaCy serializer and JSON accept:

    [text_end, [[head_start, head_end, head_type, tail_start, tail_end, tail_type, label, score]]]

All offsets count characters of `doc.text`, so that merging or splitting tokens leaves relations
right. `text_end` is the end of the text that they count in: it tells when spaCy copied them to a
doc of another text. What is read are `Relation`s, views that are rebuilt each time.
"""

import re
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple, SupportsFloat, TypeAlias

from spacy.tokens import Doc, Span

from .errors import Errors

USER_DATA_KEY = "spacy_deeper.relations"
EXTENSION = "relations"
#: The group in `doc.spans` of the entities that `doc.ents` can't hold.
OVERLAPPING = "overlapping"


class Relation(NamedTuple):
    """A labelled relation that goes from `head` to `tail`, two entities of one `Doc`.

    The spans carry their entity types as labels, as those of `doc.ents` do; the score is in [0, 1].
    """

    head: Span
    tail: Span
    label: str
    score: float = 1.0

    def __repr__(self) -> str:
        return (
            f"Relation(head={self.head}, tail={self.tail}, "
            f"label={self.label!r}, score={self.score:.2f})"
        )


RelationLike: TypeAlias = Relation | tuple[Span, Span, str] | tuple[Span, Span, str, float]


def get_relations(doc: Doc) -> list[Relation]:
    """Get the relations of a doc: what `doc._.relations` reads.

    The list is a new one each time: to change the relations, assign a list, do not append to this
    one. If tokens were merged since, a span covers every token that its text touches.

    doc (Doc): The document.
    RETURNS (list[Relation]): Its relations, in the order in which they were set.
    RAISES (ValueError): If spaCy copied them here from a doc of another text.
    """
    rows = _rows(doc)
    types = {}
    if any(not row[2] or not row[5] for row in rows):  # doc.ents were set after the relations
        types = {(ent.start_char, ent.end_char): ent.label_ for ent in doc.ents}

    def span(start: int, end: int, label: str) -> Span:
        return _char_span(doc, start, end, label or types.get((start, end), ""))

    return [Relation(span(*row[:3]), span(*row[3:6]), *row[6:]) for row in rows]


def set_relations(doc: Doc, relations: Iterable[RelationLike]) -> None:
    """Replace the relations of a doc: what assigning to `doc._.relations` does.

    An empty list is stored as well, and says that the doc was annotated and has no relation.

    doc (Doc): The document.
    relations (Iterable[RelationLike]): `Relation`s, or tuples (head, tail, label[, score]). The
        spans' labels are the entity types of the relation; a span without one, such as `doc[0:3]`,
        has that of the same span in `doc.ents`, now or when they are set.
    RAISES (ValueError): If an item is no relation between two spans of this doc, or is there twice.
        The relations of the doc are then as before.
    """
    if not isinstance(relations, Iterable):
        raise ValueError(Errors.D009.format(value=relations))
    rows = []
    seen = set()
    types = {(ent.start, ent.end): ent.label_ for ent in doc.ents}
    for index, item in enumerate(relations):
        if not isinstance(item, tuple) or len(item) not in (3, 4):
            raise ValueError(Errors.D003.format(index=index, item=item))
        head, tail, label, score = Relation(*item)
        for role, span in (("head", head), ("tail", tail)):
            if not isinstance(span, Span) or span.doc is not doc or len(span) == 0:
                raise ValueError(Errors.D004.format(index=index, role=role, span=span))
        head_at, tail_at = [head.start_char, head.end_char], [tail.start_char, tail.end_char]
        if head_at == tail_at:
            raise ValueError(Errors.D005.format(index=index, span=head))
        if not isinstance(label, str) or not label:
            raise ValueError(Errors.D006.format(index=index, label=label))
        key = (*head_at, *tail_at, label)
        if key in seen:
            raise ValueError(Errors.D008.format(index=index, head=head, tail=tail, label=label))
        seen.add(key)
        head_type, tail_type = (
            span.label_ or types.get((span.start, span.end), "") for span in (head, tail)
        )
        score = _as_score(score, index)
        rows.append([*head_at, head_type, *tail_at, tail_type, str(label), score])
    _store(doc, rows)


def entity_spans(doc: Doc) -> list[Span]:
    """Get `doc.ents`, and then what only relations name as an entity: overlapping ones, say."""
    arguments = (span for relation in get_relations(doc) for span in (relation.head, relation.tail))
    spans: dict[tuple[int, int, str], Span] = {}
    for span in (*doc.ents, *arguments):
        spans.setdefault((span.start, span.end, span.label_), span)
    return list(spans.values())


def has_relations(doc: Doc) -> bool:
    """Whether relations were set on this doc, be it an empty list."""
    return USER_DATA_KEY in doc.user_data


def has_own_extension() -> bool:
    """Whether `doc._.relations` is the one of this module."""
    return Doc.has_extension(EXTENSION) and Doc.get_extension(EXTENSION)[2] is get_relations


def install_extension() -> None:
    """Register `doc._.relations`. It is safe to call this again.

    RAISES (ValueError): If another package has registered an extension of that name.
    """
    if has_own_extension():
        return
    if Doc.has_extension(EXTENSION):
        raise ValueError(Errors.D001)
    Doc.set_extension(EXTENSION, getter=get_relations, setter=set_relations)


def as_doc(span: Span, **kwargs: Any) -> Doc:
    """Copy a span to a `Doc` of its own, as `Span.as_doc`, with the relations inside of it.

    span (Span): The span, for example a sentence.
    **kwargs: The options of `Span.as_doc`.
    RETURNS (Doc): The copy. It keeps the relations whose head and tail both lie in the span.
    RAISES (ValueError): If spaCy copied the relations to `span.doc` from a doc of another text.
    """
    doc = span.as_doc(**kwargs)
    if has_relations(span.doc):
        start, end = span.start_char, span.end_char
        rows = [
            _shifted(row, -start)
            for row in _rows(span.doc)
            if start <= min(row[0], row[3]) and max(row[1], row[4]) <= end
        ]
        _store(doc, rows)
    return doc


def from_docs(docs: Iterable[Doc], **kwargs: Any) -> Doc | None:
    """Concatenate docs, as `Doc.from_docs`, with the relations of all of them.

    docs (Iterable[Doc]): Docs that share a vocab.
    **kwargs: The options of `Doc.from_docs`; to exclude "user_data" excludes the relations.
    RETURNS (Doc | None): The concatenated doc, or None if there are no docs. It has relations (see
        `has_relations`) if one of the docs has.
    RAISES (ValueError): If spaCy copied the relations to one of the docs from one of another text.
    """
    docs = list(docs)
    with warnings.catch_warnings():
        # spaCy warns that it leaves out our data, which we then add. Other warnings stay.
        message = rf"\[W102\] .*'{re.escape(USER_DATA_KEY)}:"
        warnings.filterwarnings("ignore", message=message, category=UserWarning)
        merged = Doc.from_docs(docs, **kwargs)
    if "user_data" in kwargs.get("exclude", ()) or not any(map(has_relations, docs)):
        return merged
    rows = []
    first_token = 0
    for doc in docs:
        rows += [_shifted(row, merged[first_token].idx) for row in _rows(doc)]
        first_token += len(doc)
    _store(merged, rows)
    return merged


def _rows(doc: Doc) -> list[list[Any]]:
    if not has_relations(doc):
        return []
    text_end, rows = doc.user_data[USER_DATA_KEY]
    if text_end != _text_end(doc):
        raise ValueError(Errors.D002.format(stored=text_end, found=_text_end(doc)))
    return rows


def _store(doc: Doc, rows: list[list[Any]]) -> None:
    doc.user_data[USER_DATA_KEY] = [_text_end(doc), rows]


def _text_end(doc: Doc) -> int:
    return doc[-1].idx + len(doc[-1].text_with_ws) if len(doc) else 0


def _char_span(doc: Doc, start: int, end: int, label: str) -> Span:
    # Where the offsets are token boundaries still, "expand" gives exactly these tokens.
    span = doc.char_span(start, end, label=label, alignment_mode="expand")
    assert span is not None  # the offsets are inside of the text: `_rows` has checked it
    return span


def _shifted(row: list[Any], by: int) -> list[Any]:
    head_start, head_end, head_type, tail_start, tail_end, tail_type, label, score = row
    head_at, tail_at = [head_start + by, head_end + by], [tail_start + by, tail_end + by]
    return [*head_at, head_type, *tail_at, tail_type, label, score]


def _as_score(score: SupportsFloat, index: int) -> float:
    try:
        if not isinstance(score, SupportsFloat):  # float() would parse a string
            raise TypeError
        value = float(score)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # the last is torch's
        value = float("nan")
    if not 0.0 <= value <= 1.0:
        raise ValueError(Errors.D007.format(index=index, score=score))
    return value
