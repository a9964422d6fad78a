"""What an analysis consists of: counts of splits, what is beside each other, and findings."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

FEW = 50  # a label with fewer examples has few of them: the threshold of spaCy's `debug data`

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
            "ents": by_key(self.ents),
            "relations": by_key(self.relations),
            "signatures": [
                {"head": head, "label": label, "tail": tail, "count": count}
                for (head, label, tail), count in self.signatures.most_common()
            ],
            "pairs": self.pairs,
            "related_pairs": self.related_pairs,
            "distances": {str(gap): self.distances[gap] for gap in sorted(self.distances)},
            "relations_with_sentences": self.relations_with_sentences,
            "symmetric": by_key(self.symmetric),
            "inverse": [{"labels": k, "count": n} for k, n in self.inverse.most_common()],
            "several": [{"labels": k, "count": n} for k, n in self.several.most_common()],
            "spans": {
                key: {"spans": count, "overlapping": self.overlapping_spans[key]}
                for key, count in sorted(self.spans.items())
            },
            "mixed_types": {text: by_key(t) for text, t in sorted(self.mixed_types().items())},
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


def by_key(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))
