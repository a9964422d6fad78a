"""What went wrong with each relation that was missed or invented."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, TypeAlias, get_args

from spacy.tokens import Doc

from ..scoring import Place, RelationKey, entity_keys, relation_keys

Category: TypeAlias = Literal[
    "entity_missed",
    "entity_mistyped",
    "wrong_direction",
    "wrong_label",
    "pair_missed",
    "pair_invented",
]
Side: TypeAlias = Literal["fn", "fp"]
CATEGORIES: tuple[Category, ...] = get_args(Category)


class Annotation(NamedTuple):
    """One side of a doc: its entities, and its relations."""

    entities: set[tuple[str, Place]]
    relations: set[RelationKey]


class RelationError(NamedTuple):
    """A gold relation that was not predicted ("fn") or a predicted one that is not gold ("fp")."""

    side: Side
    category: Category
    relation: RelationKey


def annotation(doc: Doc) -> Annotation:
    """Get what of a doc is compared."""
    return Annotation(entity_keys(doc), relation_keys(doc))


def relation_errors(gold: Annotation, pred: Annotation) -> Iterator[RelationError]:
    """Give every strict false negative and false positive of one doc exactly one category.

    For a false negative "the other side" is the prediction, for a false positive it is the gold
    annotation; its entities are `doc.ents` and the arguments of its relations. The first that
    applies is the category:

    - entity_missed: the head or the tail is no entity of the other side, of whatever type. So a
      false positive is one if it has an invented entity, or one with wrong boundaries.
    - entity_mistyped: both are entities there, and one has another type.
    - wrong_direction: both entities are right, and an error of the other side is the same relation
      from tail to head.
    - wrong_label: both entities are right, and an error of the other side joins the two, in
      either direction, with another label.
    - pair_missed, of false negatives only: both entities are right, and nothing wrong was predicted
      between them.
    - pair_invented, of false positives only: both entities are right, and no gold relation between
      them is missing.

    A relation that is right explains no error: where one of two labels of a pair was found, the
    other one is a pair missed.
    """
    missed, invented = gold.relations - pred.relations, pred.relations - gold.relations
    yield from _errors("fn", missed, pred, invented, "pair_missed")
    yield from _errors("fp", invented, gold, missed, "pair_invented")


def count_errors(docs: Iterable[tuple[Annotation, Annotation]]) -> dict[str, dict[str, int]]:
    """Count the errors of all docs: see `relation_errors`.

    docs (Iterable[Tuple[Annotation, Annotation]]): Gold and predicted annotation, by doc.
    RETURNS (Dict[str, Dict[str, int]]): The categories of the false negatives, "fn", and of the
        false positives, "fp", all of them with their counts, and their "total".
    """
    counts = Counter(
        (error.side, error.category) for gold, pred in docs for error in relation_errors(gold, pred)
    )
    return {
        side: {
            **{category: counts[side, category] for category in CATEGORIES},
            "total": sum(counts[side, category] for category in CATEGORIES),
        }
        for side in get_args(Side)
    }


def _errors(
    side: Side,
    wrong: set[RelationKey],
    other: Annotation,
    other_wrong: set[RelationKey],
    otherwise: Category,
) -> Iterator[RelationError]:
    entities = other.entities | {
        entity
        for relation in other.relations
        for entity in ((relation.head_type, relation.head), (relation.tail_type, relation.tail))
    }
    places = {place for _, place in entities}
    untyped = {relation[:3] for relation in other.relations}
    labelled = {relation[:3] for relation in other_wrong}
    joined = {frozenset(relation[1:3]) for relation in other_wrong}
    for relation in sorted(wrong):
        label, head, tail, head_type, tail_type = relation
        category: Category
        if not {head, tail} <= places:
            category = "entity_missed"
        # A span may have two types on a side, if a relation's is not that in doc.ents. Then what
        # differs from the relation of the other side is still the type.
        elif not {(head_type, head), (tail_type, tail)} <= entities or relation[:3] in untyped:
            category = "entity_mistyped"
        elif (label, tail, head) in labelled:
            category = "wrong_direction"
        elif frozenset((head, tail)) in joined:
            category = "wrong_label"
        else:
            category = otherwise
        yield RelationError(side, category, relation)
