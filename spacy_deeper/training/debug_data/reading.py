"""Reading a split: its counts, and what is noted of its docs, one doc after another."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Literal

from spacy.attrs import SENT_START
from spacy.tokens import Doc

from ...errors import Errors
from ...relations import has_relations
from .annotated import Annotated, overlap
from .data import Split

EXCERPT = 80  # characters of a doc's text that go into a place


def read_split(name: str, docs: Iterable[Doc], rare: int) -> Split:
    split = Split(name)
    for doc in docs:
        try:
            annotated = Annotated(doc)
        # A coded error, or whatever comes of user data that another program has written.
        except Exception as err:
            problem = f"{type(err).__name__}: {err}"
            at = {"split": name, "doc": split.docs}
            raise ValueError(Errors.D170.format(**at, problem=problem)) from err
        split.docs += 1
        _read_doc(split, annotated)
        _read_entities(split, annotated)
        _read_arguments(split, annotated)
        _read_relations(split, annotated, rare)
        _read_pairs(split, annotated)
        _read_sentences(split, annotated)
        _read_spans(split, annotated)
    return split


def _read_doc(split: Split, annotated: Annotated) -> None:
    doc = annotated.doc
    split.tokens += len(doc)
    split.longest_doc = max(split.longest_doc, len(doc))
    words = " ".join(annotated.text[: 4 * EXCERPT].split())
    split.excerpts.append(words if len(words) <= EXCERPT else f"{words[: EXCERPT - 3]}...")
    split.docs_without_ents += not annotated.ents
    split.docs_without_relations += not annotated.relations
    split.docs_with_relations_set += has_relations(doc)
    # The same text may be tokenized, and so spaced, in two ways.
    key = without_space(annotated.text)
    if not key:
        split.note("empty_docs")
    else:
        split.texts[key].append(split.docs - 1)
        if not has_relations(doc):
            if not doc.has_annotation("ENT_IOB"):
                split.note("unannotated_docs")
            elif len(annotated.ents) > 1:
                split.note("relations_not_set")
    split.annotations.append(_fingerprint(annotated))


def _read_entities(split: Split, annotated: Annotated) -> None:
    for entity in annotated.ents:
        split.ents[entity.label] += 1
    for entity in annotated.entities:
        split.entity_types[entity.text][entity.label] += 1
        split.first_docs.setdefault((entity.text, entity.label), split.docs - 1)
        first = _kind(annotated.doc[entity.start].text)
        last = _kind(annotated.doc[entity.end - 1].text)
        if first == last == "word":
            continue
        words = (_kind(token.text) for token in annotated.doc[entity.start : entity.end])
        if "word" not in words:
            split.note("wordless_entities", str(entity))
        elif "space" in (first, last):
            split.note("space_boundaries", str(entity))
        else:
            split.note("punct_boundaries", str(entity))


def _read_arguments(split: Split, annotated: Annotated) -> None:
    types = {ent.at: ent.label for ent in annotated.ents}
    for entity in annotated.arguments:
        if not entity.label:
            split.note("untyped_arguments", str(entity))
        if entity.at not in types:
            over = [ent for ent in annotated.ents if overlap(ent, entity)]
            if over:
                detail = f"{entity} overlaps {', '.join(map(str, over))}"
                split.note("arguments_overlapping_ents", detail)
            else:
                split.note("arguments_not_in_ents", str(entity))
        elif entity.label and types[entity.at] != entity.label:
            split.note("other_types", f"{entity} is {types[entity.at]} in doc.ents")


def _read_relations(split: Split, annotated: Annotated, rare: int) -> None:
    for relation in annotated.relations:
        head, tail, label = relation
        split.relations[label] += 1
        split.signatures[relation.signature] += 1
        split.triples[head.text, tail.text, label] += 1
        if len(split.signature_docs[relation.signature]) < rare:
            split.signature_docs[relation.signature].append((split.docs - 1, str(relation)))
        if overlap(head, tail):
            split.distances[-1] += 1
            split.note("overlapping_pairs", str(relation))
        else:
            split.distances[max(head.start, tail.start) - min(head.end, tail.end)] += 1


def _read_pairs(split: Split, annotated: Annotated) -> None:
    split.pairs += len(annotated.entities) * (len(annotated.entities) - 1)
    split.related_pairs += len({relation[:2] for relation in annotated.relations})
    # By their place alone: types may differ, and the span be the same.
    labels: defaultdict[tuple[Any, Any], set[str]] = defaultdict(set)
    entities = {entity.at: entity for entity in annotated.arguments}
    for head, tail, label in annotated.relations:
        labels[head.at, tail.at].add(label)
    for (head_at, tail_at), there in labels.items():
        head, tail = entities[head_at], entities[tail_at]
        if len(there) > 1:
            several = tuple(sorted(there))
            split.several[several] += 1
            split.note("several_labels", f"{head} --{', '.join(several)}--> {tail}")
        back = labels.get((tail_at, head_at))
        if back is None or head_at > tail_at:  # each pair once
            continue
        for label in sorted(there & back):
            split.symmetric[label] += 1
            split.note("symmetric_pairs", f"{head} <--{label}--> {tail}")
        for one, other in sorted({(a, b) for a in there for b in back if a != b}):
            split.inverse[min(one, other), max(one, other)] += 1
            split.note("inverse_pairs", f"{head} --{one}--> {tail} --{other}--> {head}")


def _read_sentences(split: Split, annotated: Annotated) -> None:
    if not annotated.relations or not annotated.doc.has_annotation("SENT_START"):
        return
    split.relations_with_sentences += len(annotated.relations)
    sentence = (annotated.doc.to_array(SENT_START) == 1).cumsum()
    for relation in annotated.relations:
        head, tail, _ = relation
        if sentence[min(head.start, tail.start)] != sentence[max(head.end, tail.end) - 1]:
            split.note("crossing_relations", str(relation))


def _read_spans(split: Split, annotated: Annotated) -> None:
    for key, group in annotated.doc.spans.items():
        spans = {(span.start, span.end, span.label_) for span in group}
        split.spans[key] += len(spans)
        # An entity is mostly in the group as well.
        boundaries = {span[:2] for span in spans}
        ents = {(*ent.at, "") for ent in annotated.ents if ent.at not in boundaries}
        for start, end, label in _overlapping(spans | ents):
            if (start, end, label) in spans:
                split.overlapping_spans[key] += 1
                split.note("overlapping_spans", f"{annotated.doc[start:end]} [{label}] in '{key}'")


def _overlapping(spans: Iterable[tuple[int, int, str]]) -> Iterator[tuple[int, int, str]]:
    """Yield the spans that share a token with another of them."""
    ordered = sorted(spans)
    reach = 0
    for i, span in enumerate(ordered):
        if span[0] < reach or (i + 1 < len(ordered) and ordered[i + 1][0] < span[1]):
            yield span
        reach = max(reach, span[1])


def _fingerprint(annotated: Annotated) -> int:
    """Get a number that is the same for docs whose annotations say the same."""
    ents = sorted((without_space(ent.text), ent.label) for ent in annotated.ents)
    relations = sorted(
        (without_space(head.text), head.label, label, without_space(tail.text), tail.label)
        for head, tail, label in annotated.relations
    )
    return hash((tuple(ents), tuple(relations)))


def without_space(text: str) -> str:
    """Return what two texts share that differ in nothing but white space."""
    return "".join(text.split())


@lru_cache(maxsize=1 << 16)
def _kind(word: str) -> Literal["space", "punct", "word"]:
    if not word or word.isspace():
        return "space"
    if all(unicodedata.category(char).startswith("P") for char in word):
        return "punct"
    return "word"
