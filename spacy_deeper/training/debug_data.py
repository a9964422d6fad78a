"""What annotated data holds, and what in it will be in the way of a training.

`analyse` reads docs, split by split, and returns plain counts and findings; it prints nothing. Its
entities are those that `relation_scorer` learns from: `doc.ents`, and what only relations name.
"""

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any, Literal, NamedTuple, TypeAlias

from spacy.attrs import SENT_START
from spacy.tokens import Doc, Span

from ..errors import Errors
from ..relations import get_relations, has_relations

RARE = 5  # a signature with fewer relations is rare
FEW = 50  # a label with fewer examples has few of them: the threshold of spaCy's `debug data`
BINS = (0, 1, 2, 3, 5, 9, 17, 33)  # the first distance of each bar of the histogram
MAX_REPEATS = 5  # documents of one text that the places of each of them name
EXCERPT = 80  # characters of a doc's text that go into a place

Signature: TypeAlias = tuple[str, str, str]  # head type, label, tail type
Level: TypeAlias = Literal["fail", "warn", "info", "good"]


class Place(NamedTuple):
    """Where something was found. Docs are counted from 0."""

    split: str
    doc: int
    text: str
    detail: str


class Finding(NamedTuple):
    """What the data has, or has not, and what to do about it."""

    level: Level
    name: str
    text: str
    advice: str
    counts: dict[str, int]
    places: list[Place]


@dataclass
class Split:
    """The counts of one split."""

    name: str
    docs: int = 0
    tokens: int = 0
    longest_doc: int = 0
    docs_without_ents: int = 0
    docs_without_relations: int = 0
    docs_with_relations_set: int = 0
    ents: Counter[str] = field(default_factory=Counter)
    relations: Counter[str] = field(default_factory=Counter)
    signatures: Counter[Signature] = field(default_factory=Counter)
    # The ordered pairs of different entities of a doc, and those of them that have a relation
    pairs: int = 0
    related_pairs: int = 0
    # Tokens between head and tail, -1 if they overlap
    distances: Counter[int] = field(default_factory=Counter)
    relations_with_sentences: int = 0
    # Pairs that have a label in both directions, one label there and another back, several labels
    symmetric: Counter[str] = field(default_factory=Counter)
    inverse: Counter[tuple[str, str]] = field(default_factory=Counter)
    several: Counter[tuple[str, ...]] = field(default_factory=Counter)
    spans: Counter[str] = field(default_factory=Counter)
    overlapping_spans: Counter[str] = field(default_factory=Counter)
    # What the places of findings, and other splits, are compared by
    excerpts: list[str] = field(default_factory=list)
    texts: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    annotations: list[int] = field(default_factory=list)
    entity_types: defaultdict[str, Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    first_docs: dict[tuple[str, str], int] = field(default_factory=dict)
    triples: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    noted: defaultdict[str, list[tuple[int, str]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    signature_docs: defaultdict[Signature, list[tuple[int, str]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def note(self, name: str, detail: str = "") -> None:
        """Note something about the doc that is being read."""
        self.noted[name].append((self.docs - 1, detail))

    def place(self, doc: int, detail: str = "") -> Place:
        """Make the place of a doc of this split."""
        return Place(self.name, doc, self.excerpts[doc], detail)

    def mixed_types(self) -> dict[str, Counter[str]]:
        """Get the entity texts with more than one type, and how often they have each."""
        return {text: types for text, types in self.entity_types.items() if len(types) > 1}

    def to_dict(self) -> dict[str, Any]:
        """Get the counts as what JSON can hold."""
        return {
            "docs": self.docs,
            "tokens": self.tokens,
            "longest_doc": self.longest_doc,
            "docs_without_ents": self.docs_without_ents,
            "docs_without_relations": self.docs_without_relations,
            "docs_with_relations_set": self.docs_with_relations_set,
            "ents": _sorted(self.ents),
            "relations": _sorted(self.relations),
            "signatures": [
                {"head": head, "label": label, "tail": tail, "count": count}
                for (head, label, tail), count in self.signatures.most_common()
            ],
            "pairs": self.pairs,
            "related_pairs": self.related_pairs,
            "distances": {str(gap): self.distances[gap] for gap in sorted(self.distances)},
            "relations_with_sentences": self.relations_with_sentences,
            "symmetric": _sorted(self.symmetric),
            "inverse": [{"labels": k, "count": n} for k, n in self.inverse.most_common()],
            "several": [{"labels": k, "count": n} for k, n in self.several.most_common()],
            "spans": {
                key: {"spans": count, "overlapping": self.overlapping_spans[key]}
                for key, count in sorted(self.spans.items())
            },
            "mixed_types": {text: _sorted(t) for text, t in sorted(self.mixed_types().items())},
        }


@dataclass
class Comparison:
    """A split beside the one that is trained on: what is new in it."""

    new_ents: dict[str, int]
    new_relations: dict[str, int]
    new_signatures: Counter[Signature]
    missing_relations: list[str]
    # Pairs are (head text, tail text) of relations; known relations have their label in training.
    pairs: int
    unseen_pairs: int
    relations: int
    relations_of_unseen_pairs: int
    known_relations: int
    entity_texts: int
    unseen_entity_texts: int

    def to_dict(self) -> dict[str, Any]:
        """Get the counts as what JSON can hold."""
        signatures = [
            {"head": head, "label": label, "tail": tail, "count": count}
            for (head, label, tail), count in self.new_signatures.most_common()
        ]
        return {**vars(self), "new_signatures": signatures}


class Duplicate(NamedTuple):
    """A text that more than one doc has, white space apart."""

    text: str
    docs: dict[str, list[int]]
    same_annotation: bool


@dataclass
class Analysis:
    """What was found in all splits. The first is the one that is trained on."""

    rare: int
    splits: dict[str, Split]
    comparisons: dict[str, Comparison]
    duplicates: list[Duplicate]
    # [one split][another]: the docs of the one whose text is in the other, in itself: once more
    repeats: dict[str, dict[str, int]]
    findings: list[Finding] = field(default_factory=list)

    @property
    def train(self) -> Split:
        """The split that is trained on."""
        return next(iter(self.splits.values()))

    def to_dict(self) -> dict[str, Any]:
        """Get everything as what JSON can hold."""
        return {
            "rare": self.rare,
            "few": FEW,
            "splits": {name: split.to_dict() for name, split in self.splits.items()},
            "beside_training": {name: c.to_dict() for name, c in self.comparisons.items()},
            "repeats": self.repeats,
            "duplicates": [group._asdict() for group in self.duplicates],
            "findings": [
                {**finding._asdict(), "places": [place._asdict() for place in finding.places]}
                for finding in self.findings
            ],
        }


def analyse(splits: Mapping[str, Iterable[Doc]], *, rare: int = RARE) -> Analysis:
    """Analyse annotated data.

    splits (Mapping[str, Iterable[Doc]]): The docs of each split by its name, that of training
        first. They are read once, and not kept.
    rare (int): A signature with fewer relations than this is rare.
    RETURNS (Analysis): The counts, and the findings, the grave ones first.
    RAISES (ValueError): If the relations of a doc can't be read.
    """
    read = {name: _read(name, docs, rare) for name, docs in splits.items()}
    train, *others = read.values()
    analysis = Analysis(
        rare,
        read,
        {other.name: _compare(train, other) for other in others},
        list(_duplicates(read)),
        {one.name: {b.name: _repeats(one, b) for b in read.values()} for one in read.values()},
    )
    order = ("fail", "warn", "info", "good")
    analysis.findings = sorted(_find(analysis), key=lambda finding: order.index(finding.level))
    return analysis


def histogram(distances: Mapping[int, int]) -> dict[str, int]:
    """Count the distances of each of `BINS`, and -1 as "overlap", which is left out if empty."""
    counts = {}
    if distances.get(-1):
        counts["overlap"] = distances[-1]
    for low, end in pairwise((*BINS, math.inf)):
        name = f"{low}+" if end == math.inf else str(low) if end == low + 1 else f"{low}-{end - 1}"
        counts[name] = sum(n for gap, n in distances.items() if low <= gap < end)
    return counts


# ---- Reading a split -----------------------------------------------------------------------------


class _Entity(NamedTuple):
    start: int
    end: int
    label: str
    text: str

    @property
    def at(self) -> tuple[int, int]:
        return self.start, self.end

    def __str__(self) -> str:
        return f"{self.text} [{self.label or 'no type'}]"


class _Relation(NamedTuple):
    head: _Entity
    tail: _Entity
    label: str

    @property
    def signature(self) -> Signature:
        return self.head.label, self.label, self.tail.label

    def __str__(self) -> str:
        return f"{self.head} --{self.label}--> {self.tail}"


class _Annotated:
    """A doc's annotation, with the texts of its entities cut out but once."""

    def __init__(self, doc: Doc) -> None:
        self.doc = doc
        self.text = doc.text
        self.ents = [self._entity(ent) for ent in doc.ents]
        self.relations = [
            _Relation(self._entity(head), self._entity(tail), label)
            for head, tail, label, _ in get_relations(doc)
        ]
        self.arguments = list(dict.fromkeys(entity for r in self.relations for entity in r[:2]))
        self.entities = list(dict.fromkeys([*self.ents, *self.arguments]))

    def _entity(self, span: Span) -> _Entity:
        text = " ".join(self.text[span.start_char : span.end_char].split())
        return _Entity(span.start, span.end, span.label_, text)


def _read(name: str, docs: Iterable[Doc], rare: int) -> Split:
    split = Split(name)
    for doc in docs:
        try:
            annotated = _Annotated(doc)
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


def _read_doc(split: Split, annotated: _Annotated) -> None:
    doc = annotated.doc
    split.tokens += len(doc)
    split.longest_doc = max(split.longest_doc, len(doc))
    words = " ".join(annotated.text[: 4 * EXCERPT].split())
    split.excerpts.append(words if len(words) <= EXCERPT else f"{words[: EXCERPT - 3]}...")
    split.docs_without_ents += not annotated.ents
    split.docs_without_relations += not annotated.relations
    split.docs_with_relations_set += has_relations(doc)
    # The same text may be tokenized, and so spaced, in two ways.
    key = _without_space(annotated.text)
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


def _read_entities(split: Split, annotated: _Annotated) -> None:
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


def _read_arguments(split: Split, annotated: _Annotated) -> None:
    types = {ent.at: ent.label for ent in annotated.ents}
    for entity in annotated.arguments:
        if not entity.label:
            split.note("untyped_arguments", str(entity))
        if entity.at not in types:
            over = [ent for ent in annotated.ents if _overlap(ent, entity)]
            if over:
                detail = f"{entity} overlaps {', '.join(map(str, over))}"
                split.note("arguments_overlapping_ents", detail)
            else:
                split.note("arguments_not_in_ents", str(entity))
        elif entity.label and types[entity.at] != entity.label:
            split.note("other_types", f"{entity} is {types[entity.at]} in doc.ents")


def _read_relations(split: Split, annotated: _Annotated, rare: int) -> None:
    for relation in annotated.relations:
        head, tail, label = relation
        split.relations[label] += 1
        split.signatures[relation.signature] += 1
        split.triples[head.text, tail.text, label] += 1
        if len(split.signature_docs[relation.signature]) < rare:
            split.signature_docs[relation.signature].append((split.docs - 1, str(relation)))
        if _overlap(head, tail):
            split.distances[-1] += 1
            split.note("overlapping_pairs", str(relation))
        else:
            split.distances[max(head.start, tail.start) - min(head.end, tail.end)] += 1


def _read_pairs(split: Split, annotated: _Annotated) -> None:
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


def _read_sentences(split: Split, annotated: _Annotated) -> None:
    if not annotated.relations or not annotated.doc.has_annotation("SENT_START"):
        return
    split.relations_with_sentences += len(annotated.relations)
    sentence = (annotated.doc.to_array(SENT_START) == 1).cumsum()
    for relation in annotated.relations:
        head, tail, _ = relation
        if sentence[min(head.start, tail.start)] != sentence[max(head.end, tail.end) - 1]:
            split.note("crossing_relations", str(relation))


def _read_spans(split: Split, annotated: _Annotated) -> None:
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


def _overlap(one: _Entity, other: _Entity) -> bool:
    return one.start < other.end and other.start < one.end


def _fingerprint(annotated: _Annotated) -> int:
    """Get a number that is the same for docs whose annotations say the same."""
    ents = sorted((_without_space(ent.text), ent.label) for ent in annotated.ents)
    relations = sorted(
        (_without_space(head.text), head.label, label, _without_space(tail.text), tail.label)
        for head, tail, label in annotated.relations
    )
    return hash((tuple(ents), tuple(relations)))


def _without_space(text: str) -> str:
    return "".join(text.split())


@lru_cache(maxsize=1 << 16)
def _kind(word: str) -> Literal["space", "punct", "word"]:
    if not word or word.isspace():
        return "space"
    if all(unicodedata.category(char).startswith("P") for char in word):
        return "punct"
    return "word"


# ---- Beside each other ---------------------------------------------------------------------------


def _compare(train: Split, other: Split) -> Comparison:
    seen = {triple[:2] for triple in train.triples}
    pairs = {triple[:2] for triple in other.triples}

    def new(key: str) -> Counter[Any]:
        seen = getattr(train, key)
        counts = getattr(other, key)
        return Counter({item: n for item, n in counts.most_common() if item not in seen})

    return Comparison(
        new_ents=_sorted(new("ents")),
        new_relations=_sorted(new("relations")),
        new_signatures=new("signatures"),
        missing_relations=sorted(set(train.relations) - set(other.relations)),
        pairs=len(pairs),
        unseen_pairs=len(pairs - seen),
        relations=other.triples.total(),
        relations_of_unseen_pairs=sum(n for k, n in other.triples.items() if k[:2] not in seen),
        known_relations=sum(n for k, n in other.triples.items() if k in train.triples),
        entity_texts=len(other.entity_types),
        unseen_entity_texts=len(other.entity_types.keys() - train.entity_types.keys()),
    )


def _duplicates(splits: Mapping[str, Split]) -> Iterator[Duplicate]:
    for text in dict.fromkeys(chain.from_iterable(split.texts for split in splits.values())):
        docs = {name: split.texts[text] for name, split in splits.items() if text in split.texts}
        if sum(map(len, docs.values())) > 1:
            found = {splits[name].annotations[i] for name, at in docs.items() for i in at}
            name, at = next(iter(docs.items()))
            yield Duplicate(splits[name].excerpts[at[0]], docs, len(found) == 1)


def _repeats(one: Split, other: Split) -> int:
    if one is other:
        return sum(len(docs) - 1 for docs in one.texts.values())
    return sum(len(docs) for text, docs in one.texts.items() if text in other.texts)


# ---- Findings ------------------------------------------------------------------------------------


class _Issue(NamedTuple):
    """What is noted of single docs: its name there, the finding's level, words and advice."""

    name: str
    level: Level
    what: str
    advice: str


_ISSUES = (
    _Issue(
        "empty_docs",
        "warn",
        "documents without text",
        "Nothing is learned from them. Remove them.",
    ),
    _Issue(
        "unannotated_docs",
        "warn",
        "documents without any annotation",
        "No entities were ever set on them, not even none. The tagger skips them, but the relation "
        "model and the scores take them for texts without relations. Annotate or remove them.",
    ),
    _Issue(
        "relations_not_set",
        "warn",
        "documents with entities whose relations were never set",
        "They count as texts without relations. If that is right, assign doc._.relations = []; if "
        "their relations are not annotated yet, remove them.",
    ),
    _Issue(
        "space_boundaries",
        "warn",
        "entities that begin or end with white space",
        "Move their boundaries: white space aligns to no other tokenization.",
    ),
    _Issue(
        "punct_boundaries",
        "warn",
        "entities that begin or end with a punctuation token",
        "Fine where it belongs to the name, as in 'Inc .'. Move the boundary where it does not, as "
        "the scores ask for exact ones.",
    ),
    _Issue(
        "wordless_entities",
        "warn",
        "entities of nothing but white space or punctuation",
        "Most likely a slip of the annotation. Remove them.",
    ),
    _Issue(
        "arguments_overlapping_ents",
        "warn",
        "relation arguments that overlap an entity of doc.ents",
        "The tagger can't learn overlapping entities, so their relations are out of reach end to "
        "end. Keep one of the two, or expect a loss of recall.",
    ),
    _Issue(
        "arguments_not_in_ents",
        "warn",
        "relation arguments that are not in doc.ents",
        "The relation model learns from them, but the tagger does not, and will not find them. Add "
        "them to doc.ents.",
    ),
    _Issue(
        "other_types",
        "warn",
        "relation arguments with another type than in doc.ents",
        "Both count as entities in training, and strict scores want the relation's. Give them one.",
    ),
    _Issue(
        "overlapping_pairs",
        "warn",
        "relations whose head and tail overlap",
        "The tagger finds at most one of the two, so they are out of reach end to end.",
    ),
    _Issue(
        "overlapping_spans",
        "warn",
        "overlapping spans in doc.spans",
        "They overlap each other or doc.ents. The components read doc.ents alone, so what is only "
        "in doc.spans is not learned.",
    ),
    _Issue(
        "crossing_relations",
        "info",
        "relations that cross sentences",
        "Train on whole documents: if texts are cut into sentences, these relations are lost.",
    ),
    _Issue(
        "inverse_pairs",
        "info",
        "pairs with one label there and another back",
        "The model scores every direction and label. If one label is always the inverse of "
        "another, it is enough to learn one of them.",
    ),
    _Issue(
        "several_labels",
        "info",
        "pairs with several labels in one direction",
        "The model can find all of them; each label is scored by itself.",
    ),
)


def _find(analysis: Analysis) -> Iterator[Finding]:
    yield from _find_nothing(analysis)
    yield _find_untyped(analysis)
    yield from _find_few(analysis)
    yield from _find_new_labels(analysis)
    yield from _find_signatures(analysis)
    for issue in _ISSUES:
        if issue.name == "crossing_relations":
            yield from _find_no_sentences(analysis)
            if not any(split.relations_with_sentences for split in analysis.splits.values()):
                continue
        yield _find_noted(analysis, *issue)
    yield _find_partly_symmetric(analysis)
    yield from _find_duplicates(analysis)
    yield _find_mixed_types(analysis)
    yield from _find_unseen_pairs(analysis)
    yield from _find_balance(analysis)


def _find_nothing(analysis: Analysis) -> Iterator[Finding]:
    for split in analysis.splits.values():
        level: Level = "fail" if split is analysis.train else "warn"
        end = "can't begin" if split is analysis.train else "can't be judged by it"
        if not split.relations:
            advice = f"A training of relations {end}."
            if not split.docs_with_relations_set:
                advice += (
                    " No document had its relations set. In a .spacy file they live in the user "
                    "data: write it with `python -m spacy relations convert` or "
                    "DocBin(store_user_data=True)."
                )
            yield Finding(level, "no_relations", f"No relations in {split.name}", advice, {}, [])
        if not split.ents:
            advice = f"A training of entities {end}. Set doc.ents."
            text = f"No entities in doc.ents in {split.name}"
            yield Finding(level, "no_ents", text, advice, {}, [])


def _find_untyped(analysis: Analysis) -> Finding:
    level: Level = "fail" if "untyped_arguments" in analysis.train.noted else "warn"
    advice = (
        "A training stops at them. Put them into doc.ents, or give the relation's spans a label, "
        "and set the relations after that."
    )
    what = "relation arguments without an entity type"
    return _find_noted(analysis, "untyped_arguments", level, what, advice)


def _find_few(analysis: Analysis) -> Iterator[Finding]:
    train = analysis.train
    for what, counts in (("entity", train.ents), ("relation", train.relations)):
        few = {label: n for label, n in _sorted(counts).items() if n < FEW}
        name = f"few_{what}_examples"
        if few:
            text = f"{what.title()} labels with fewer than {FEW} examples in {train.name}"
            advice = "Annotate more of them, or expect low and uncertain scores for these labels."
            yield Finding("warn", name, f"{text}: {_labels(few)}", advice, few, [])
        elif counts:
            text = f"All {what} labels have {FEW} examples or more in {train.name}"
            yield Finding("good", name, text, "", {}, [])


def _find_new_labels(analysis: Analysis) -> Iterator[Finding]:
    for name, beside in analysis.comparisons.items():
        new = {"entity": beside.new_ents, "relation": beside.new_relations}
        for what, counts in new.items():
            if counts:
                text = f"{what.title()} labels in {name} only: {_labels(counts)}"
                advice = (
                    "A training runs, but never learns them, and every one is an error in its "
                    "scores. Look for a spelling of its own, or split the data anew."
                )
                yield Finding("warn", f"new_{what}_labels", text, advice, counts, [])
        if not any(new.values()):
            text = f"All labels of {name} are in {analysis.train.name}"
            yield Finding("good", "new_labels", text, "", {}, [])
        if beside.relations and beside.missing_relations:
            text = f"Relation labels without an example in {name}: "
            advice = "Its scores say nothing about them."
            labels = beside.missing_relations
            yield Finding("warn", "missing_labels", text + ", ".join(labels), advice, {}, [])


def _find_signatures(analysis: Analysis) -> Iterator[Finding]:
    train = analysis.train
    if not train.signatures:
        return
    what = f"signatures (head type, label, tail type) with fewer than {analysis.rare} relations"
    rare = {k: n for k, n in train.signatures.most_common() if n < analysis.rare}
    if rare:
        advice = (
            "Too few to learn from, and perhaps mistakes: look at them with --verbose, above all "
            "where the same types are mostly related the other way round."
        )
        text = f"{what[0].upper()}{what[1:]}: {len(rare)} in {train.name}"
        places = [
            train.place(doc, detail + _mirrored(train.signatures, signature))
            for signature in rare
            for doc, detail in train.signature_docs[signature]
        ]
        yield Finding("warn", "rare_signatures", text, advice, {train.name: len(rare)}, places)
    else:
        yield Finding("good", "rare_signatures", f"No {what} in {train.name}", "", {}, [])
    for name, beside in analysis.comparisons.items():
        new = beside.new_signatures
        if new:
            text = f"Signatures in {name} only: {len(new)}, of relations: {new.total()}"
            advice = f"A model learns nothing of the kind from {train.name}."
            split = analysis.splits[name]
            places = [split.place(*at) for key in new for at in split.signature_docs[key]]
            yield Finding("warn", "new_signatures", text, advice, {name: len(new)}, places)
        elif beside.relations:
            text = f"All signatures of {name} are in {train.name}"
            yield Finding("good", "new_signatures", text, "", {}, [])


def _mirrored(signatures: Counter[Signature], signature: Signature) -> str:
    head, label, tail = signature
    count = signatures[tail, label, head]
    return f" (the other way round: {count})" if head != tail and count else ""


def _find_no_sentences(analysis: Analysis) -> Iterator[Finding]:
    without = {
        name: split.relations.total() - split.relations_with_sentences
        for name, split in analysis.splits.items()
    }
    if any(without.values()):
        text = f"Relations in documents without sentence boundaries: {_counted(without)}"
        advice = (
            "Whether these cross sentences can't be told. If documents are longer than a sentence, "
            "set boundaries before saving, for example with spaCy's sentencizer."
        )
        yield Finding("info", "no_sentences", text, advice, without, [])


def _find_partly_symmetric(analysis: Analysis) -> Finding:
    counts: dict[str, int] = {}
    said = []
    places = []
    for name, split in analysis.splits.items():
        partly = {k: n for k, n in _sorted(split.symmetric).items() if 2 * n < split.relations[k]}
        counts[name] = sum(partly.values())
        for label, n in partly.items():
            said.append(f"{label} ({name}: {n} of {split.relations[label] - n} pairs)")
        places += [split.place(*at) for at in split.noted["symmetric_pairs"]] if partly else []
    what = "labels that stand in both directions of some of their pairs"
    if not said:
        return Finding("good", "partly_symmetric", f"No {what}", "", counts, [])
    advice = (
        "Each direction is learned by itself. If a label has no direction, annotate both of them "
        "always, or one by a fixed rule; if it has, one of the two is a mistake."
    )
    text = f"{what[0].upper()}{what[1:]}: {', '.join(said)}"
    return Finding("warn", "partly_symmetric", text, advice, counts, places)


def _find_duplicates(analysis: Analysis) -> Iterator[Finding]:
    repeats, names = analysis.repeats, list(analysis.splits)
    within = {name: repeats[name][name] for name in names}
    groups = [g for g in analysis.duplicates if any(len(docs) > 1 for docs in g.docs.values())]
    yield _finding(
        "duplicates",
        "warn",
        "documents that repeat the text of another one of their split",
        "They weigh more than others in training and in scores. Remove them, or know why not.",
        within,
        list(_places(analysis, groups, inside=True)),
    )
    for i, name in enumerate(names):
        for other in names[:i]:
            groups = [g for g in analysis.duplicates if {name, other} <= g.docs.keys()]
            yield _finding(
                f"duplicates_{name}_{other}",
                "warn",
                f"documents of {name} whose text stands in {other}",
                f"Scores on {name} are too good by what is learned by heart. Remove them from one "
                "of the two, or report scores with and without them.",
                {name: repeats[name][other]},
                list(_places(analysis, groups, only=(name, other))),
            )
    groups = [group for group in analysis.duplicates if not group.same_annotation]
    yield _finding(
        "contradictions",
        "warn",
        "texts that stand there more than once, annotated in different ways",
        "One of the annotations is wrong, or incomplete. Correct it.",
        {"all": len(groups)} if len(names) > 1 else {names[0]: len(groups)},
        list(_places(analysis, groups)),
    )


def _places(
    analysis: Analysis, groups: Iterable[Duplicate], only: Iterable[str] = (), inside: bool = False
) -> Iterator[Place]:
    only = set(only) or set(analysis.splits)
    for group in groups:
        at = ((name, doc) for name, docs in group.docs.items() for doc in docs if name in only)
        where = [(name, doc) for name, doc in at if not inside or len(group.docs[name]) > 1]
        detail = "same text: " + ", ".join(f"{name} {doc}" for name, doc in where[:MAX_REPEATS])
        if len(where) > MAX_REPEATS:
            detail += f", ... ({len(where)} documents)"
        for name, doc in where:
            yield analysis.splits[name].place(doc, detail)


def _find_mixed_types(analysis: Analysis) -> Finding:
    places = []
    counts = {}
    for name, split in analysis.splits.items():
        mixed = split.mixed_types()
        counts[name] = len(mixed)
        for text, types in sorted(mixed.items()):
            rarest = types.most_common()[-1][0]
            detail = f"{text}: {_labels(dict(types.most_common()))}; {rarest or 'no type'} here"
            places.append(split.place(split.first_docs[text, rarest], detail))
    advice = "Often right ('Washington'), sometimes a slip: look at the rarer type with --verbose."
    what = "entity texts with more than one type"
    return _finding("mixed_types", "info", what, advice, counts, places)


def _find_unseen_pairs(analysis: Analysis) -> Iterator[Finding]:
    train = analysis.train.name
    for name, beside in analysis.comparisons.items():
        if not beside.relations:
            continue
        text = (
            f"Entity pairs of {name} that are not related in {train}: {beside.unseen_pairs} of "
            f"{beside.pairs}, of relations: {beside.relations_of_unseen_pairs} of "
            f"{beside.relations} ({_percent(beside.relations_of_unseen_pairs, beside.relations)})"
        )
        advice = (
            f"Relations with the entity texts and the label of one in {train}, which can be "
            f"learned by heart: {beside.known_relations}."
        )
        counts = {name: beside.unseen_pairs}
        yield Finding("info", "unseen_pairs", text, advice, counts, [])


def _find_balance(analysis: Analysis) -> Iterator[Finding]:
    train = analysis.train
    if train.related_pairs:
        share = _percent(train.related_pairs, train.pairs)
        text = (
            f"Related pairs in {train.name}: {train.related_pairs} of {train.pairs} ordered pairs "
            f"of entities ({share})"
        )
        advice = "If very few are, a threshold below 0.5 may serve better."
        yield Finding("info", "balance", text, advice, {train.name: train.related_pairs}, [])


def _find_noted(analysis: Analysis, name: str, level: Level, what: str, advice: str) -> Finding:
    noted = {split.name: split.noted.get(name, []) for split in analysis.splits.values()}
    places = [analysis.splits[split].place(*at) for split, found in noted.items() for at in found]
    counts = {split: len(found) for split, found in noted.items()}
    return _finding(name, level, what, advice, counts, places)


def _finding(
    name: str, level: Level, what: str, advice: str, counts: dict[str, int], places: list[Place]
) -> Finding:
    if not any(counts.values()):
        return Finding("good", name, f"No {what}", "", counts, [])
    text = f"{what[0].upper()}{what[1:]}: {_counted(counts)}"
    return Finding(level, name, text, advice, counts, places)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} in {name}" for name, count in counts.items() if count)


def _labels(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{label or 'no type'} ({count})" for label, count in counts.items())


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))
