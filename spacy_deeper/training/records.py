"""From what a format says to a `Doc`: what all formats share.

A format's parser makes `Record`s, which may hold anything that annotators do. `make_doc` makes the
docs: it moves offsets to tokens, has entities that overlap dealt with, and reports what it changes.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.util import filter_spans, get_words_and_spaces

from ..errors import Errors
from ..relations import OVERLAPPING, Relation, get_relations, set_relations
from .report import Place, Report

OVERLAP = ("longest", "spans")
ALIGN = ("expand", "contract", "strict")


class Entity(NamedTuple):
    """An entity: `start` and `end` count as its record says, the end is exclusive."""

    start: int
    end: int
    label: str
    name: str


class Link(NamedTuple):
    """A relation between two entities, which are named by their keys in the record."""

    head: Hashable
    tail: Hashable
    label: str
    name: str


@dataclass
class Record:
    """A document as a format has it.

    at: Where it stands.
    text: Its text. If it has one, then the offsets of entities count its characters.
    words: Its tokens, if it has any. Without a text, offsets count tokens.
    entities: By the keys that the relations use.
    id: What the format calls the document.
    sent_starts: Whether a token begins a sentence, for each token.
    """

    at: Place
    text: str | None = None
    words: Sequence[str] | None = None
    entities: dict[Hashable, Entity] = field(default_factory=dict)
    relations: list[Link] = field(default_factory=list)
    id: str | int | None = None
    sent_starts: list[bool] | None = None


@dataclass(frozen=True)
class Options:
    """What to do with annotations that do not fit into a `Doc` as they are.

    overlap (str): Of entities that overlap, keep the "longest" and drop the others with their
        relations; or move the others to `doc.spans["overlapping"]` ("spans"), with their relations.
    align (str): If the offsets of an entity cut a token, "expand" it to the whole token, "contract"
        it to the tokens inside, or be "strict" and drop it.
    """

    overlap: str = "longest"
    align: str = "expand"

    def __post_init__(self) -> None:
        for name, known in (("overlap", OVERLAP), ("align", ALIGN)):
            value = getattr(self, name)
            if value not in known:
                raise ValueError(
                    Errors.D108.format(name=name, value=value, known=" or ".join(known))
                )


def make_doc(record: Record, nlp: Language, options: Options, report: Report) -> Doc | None:
    """Make the doc of a record, or none if the record has no text."""
    report.read["documents"] += 1
    report.read["entities"] += len(record.entities)
    report.read["relations"] += len(record.relations)
    try:
        doc = _tokenize(record, nlp)
        if not len(doc) and not record.entities and not record.relations:
            report.dropped(record.at, "documents", str(record.id or ""), "no text")
            return None
        spans = _align(record, doc, options.align, report)
        spans = _merge_repeated(record, spans, report)
        spans = _set_ents(record, doc, spans, options.overlap, report)
        set_relations(doc, _get_relations(record, spans, report))
        if record.id is not None:
            # msgpack has no integers beyond 64 bits.
            fits = isinstance(record.id, str) or -(2**63) <= record.id < 2**63
            doc.user_data["orig_id"] = record.id if fits else str(record.id)
            _check_unicode(record.id)
    except UnicodeEncodeError as err:
        raise ValueError(Errors.D125.format(where=record.at, problem=err.reason)) from None
    return doc


def all_entities(doc: Doc) -> list[Span]:
    """Return the entities of a doc: `doc.ents`, those that overlap them, and relations' arguments.

    They are in the order of the text; none is there twice.
    """
    spans = [*doc.ents, *doc.spans.get(OVERLAPPING, ())]
    for relation in get_relations(doc):
        spans += [relation.head, relation.tail]
    unique = {(span.start, span.end, span.label_): span for span in spans}
    return [unique[key] for key in sorted(unique)]


class Writable(NamedTuple):
    """A doc with what a writer can write of it: relations as indices into its entities.

    number (int): Counts the documents of the input.
    """

    number: int
    doc: Doc
    entities: list[Span]
    relations: list[tuple[int, int, str, float]]


def writable(docs: Iterable[Doc], report: Report) -> Iterator[Writable]:
    """Prepare docs for a text format, in which all documents have words and all entities a type."""
    for index, doc in enumerate(docs):
        at = Place("", f"document {doc.user_data.get('orig_id', index)}")
        if not len(doc):
            report.dropped(at, "documents", "", "no text")
            continue
        entities: list[Span] = []
        keys: dict[tuple[int, int, str], int] = {}
        for span in all_entities(doc):
            if span.label_.strip():
                keys[span.start, span.end, span.label_] = len(entities)
                entities.append(span)
            else:
                report.dropped(at, "entities", span.text, "no type")
        relations = []
        for link in get_relations(doc):
            head, tail = ((s.start, s.end, s.label_) for s in (link.head, link.tail))
            if head in keys and tail in keys:
                relations.append((keys[head], keys[tail], link.label, link.score))
            else:
                item = f"{link.head} --{link.label}--> {link.tail}"
                report.dropped(at, "relations", item, "an argument was dropped")
        report.written.update(documents=1, entities=len(entities), relations=len(relations))
        yield Writable(index, doc, entities, relations)


def _check_label(label: str, at: Place) -> None:
    if not label.strip():
        raise ValueError(Errors.D124.format(where=at))
    _check_unicode(label)


def _check_unicode(value: object) -> None:
    str(value).encode("utf-8")


def _tokenize(record: Record, nlp: Language) -> Doc:
    text, words = record.text, record.words
    if words is None:
        text = text or ""
        _check_unicode(text)
        if len(text) > nlp.max_length:
            raise ValueError(
                Errors.D126.format(where=record.at, length=len(text), limit=nlp.max_length)
            )
        return nlp.make_doc(text)
    spaces: list[bool] | None = None
    if text is not None:
        try:
            words, spaces = get_words_and_spaces(words, text)
        except ValueError:
            raise ValueError(Errors.D148.format(where=record.at)) from None
    # Unknown spaces make spaCy's Corpus train on the given tokens.
    starts: list[bool | int | None] | None = None
    if record.sent_starts is not None:
        starts = [*record.sent_starts]
    return Doc(nlp.vocab, words=list(words), spaces=spaces, sent_starts=starts)


def _align(record: Record, doc: Doc, mode: str, report: Report) -> dict[Hashable, Span]:
    spans = {}
    length, unit = (len(doc), "tokens") if record.text is None else (len(record.text), "characters")
    for key, (start, end, label, name) in record.entities.items():
        at = record.at.within(name)
        _check_label(label, at)
        if not 0 <= start < end <= length:
            raise ValueError(
                Errors.D118.format(where=at, start=start, end=end, length=length, unit=unit)
            )
        if record.text is None:
            spans[key] = Span(doc, start, end, label=label)
            continue
        mention = record.text[start:end]
        item = f"{mention} ({label})"
        trimmed_start = start + len(mention) - len(mention.lstrip())
        trimmed_end = end - (len(mention) - len(mention.rstrip()))
        if trimmed_start >= trimmed_end:
            report.dropped(at, "entities", item, "only white space")
            continue
        if (trimmed_start, trimmed_end) != (start, end):
            report.repaired(at, "entities", item, "white space cut off its edges")
        span = doc.char_span(trimmed_start, trimmed_end, label=label, alignment_mode=mode)
        if span is None:
            reason = "cuts a token" if mode == "strict" else "no whole token inside of it"
            report.dropped(at, "entities", item, reason)
            continue
        if (span.start_char, span.end_char) != (trimmed_start, trimmed_end):
            moved = f"{item} → {span}"
            report.repaired(at, "entities", moved, f"cuts a token: {mode}ed to whole tokens")
        spans[key] = span
    return spans


def _merge_repeated(
    record: Record, spans: dict[Hashable, Span], report: Report
) -> dict[Hashable, Span]:
    """Drop entities that repeat another one. Their relations go on with that one."""
    first: dict[tuple[int, int, str], Span] = {}
    for key, span in spans.items():
        identity = (span.start, span.end, span.label_)
        if identity in first:
            at = record.at.within(record.entities[key].name)
            report.dropped(at, "entities", _describe(span), "repeats another entity")
        spans[key] = first.setdefault(identity, span)
    return spans


def _set_ents(
    record: Record, doc: Doc, spans: dict[Hashable, Span], overlap: str, report: Report
) -> dict[Hashable, Span]:
    """Set the entities that don't overlap, of those that do the longest, or else the first."""
    unique = list({id(span): span for span in spans.values()}.values())
    kept = {id(span) for span in filter_spans(unique)}
    doc.set_ents([span for span in unique if id(span) in kept])
    names = {
        id(spans[key]): entity.name
        for key, entity in reversed(record.entities.items())
        if key in spans
    }
    removed = [span for span in unique if id(span) not in kept]
    for span in removed:
        at = record.at.within(names[id(span)])
        if overlap == "longest":
            report.dropped(at, "entities", _describe(span), "overlaps a longer or earlier one")
        else:
            reason = f"overlaps a longer or earlier one: moved to doc.spans['{OVERLAPPING}']"
            report.repaired(at, "entities", _describe(span), reason)
    if overlap == "longest":
        return {key: span for key, span in spans.items() if id(span) in kept}
    if removed:
        doc.spans[OVERLAPPING] = removed
    return spans


def _get_relations(record: Record, spans: dict[Hashable, Span], report: Report) -> list[Relation]:
    seen: dict[tuple[int, int, int, int, str], Relation] = {}
    for link in record.relations:
        at = record.at.within(link.name)
        _check_label(link.label, at)
        for role, key in (("head", link.head), ("tail", link.tail)):
            if key not in record.entities:
                count = len(record.entities)
                raise ValueError(Errors.D121.format(where=at, key=role, value=key, count=count))
        if link.head not in spans or link.tail not in spans:
            item = f"--{link.label}-->".join(
                f"{record.entities[key].name} " for key in (link.head, link.tail)
            )
            report.dropped(at, "relations", item.strip(), "an argument was dropped")
            continue
        head, tail = spans[link.head], spans[link.tail]
        item = f"{head} --{link.label}--> {tail}"
        if (head.start, head.end) == (tail.start, tail.end):
            report.dropped(at, "relations", item, "its arguments are the same words")
        elif (key := (head.start, head.end, tail.start, tail.end, link.label)) in seen:
            report.dropped(at, "relations", item, "repeats another relation")
        else:
            seen[key] = Relation(head, tail, link.label)
    return list(seen.values())


def _describe(span: Span) -> str:
    return f"{span} ({span.label_})"
