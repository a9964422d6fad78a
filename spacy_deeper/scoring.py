"""Precision, recall and F-score of entities and relations.

Strict scores ask for everything, boundaries scores leave out the entity types. Micro scores count
all items, macro scores are means over the labels that occur in the gold or the predicted items.
Items are compared as sets over their union, so one that is missing on either side is an error.
All scores are floats, 0.0 where there is nothing to score.
"""

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import accumulate, chain
from typing import Any, TypeAlias

from spacy.scorer import PRFScore
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import registry

from .errors import Warnings
from .relations import get_relations, has_relations

Scorer: TypeAlias = Callable[..., dict[str, Any]]
Counts: TypeAlias = defaultdict[str, PRFScore]


@registry.scorers("spacy_deeper.crf_ner_scorer.v1")
def make_crf_ner_scorer() -> Scorer:
    """Make the scorer of `crf_ner`: see `score_entities`."""
    return score_entities


@registry.scorers("spacy_deeper.relation_scorer.v1")
def make_relation_scorer() -> Scorer:
    """Make the scorer of `relation_scorer`: see `score_relations`."""
    return score_relations


def score_entities(examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
    """Score `doc.ents`. An entity is right if its text span and its label are.

    As in spaCy, references without any entity annotation are skipped, and so are predictions that
    touch a token whose annotation is missing.

    examples (Iterable[Example]): The predictions with their references.
    RETURNS (dict[str, Any]): `ents_p`, `ents_r`, `ents_f` and `ents_per_type`, named as spaCy's;
        `ents_micro_*`, which are the same; `ents_macro_*`; and `ents_boundaries_micro_*`, for which
        the label does not matter.
    """
    strict: Counts = defaultdict(PRFScore)
    boundaries: Counts = defaultdict(PRFScore)
    for example in examples:
        if not example.reference.has_annotation("ENT_IOB"):
            continue
        gold, pred = _entity_keys(example.reference), _entity_keys(example.predicted)
        missing = _missing_characters(example.reference)
        pred = {(label, span) for label, span in pred if missing.isdisjoint(range(*span))}
        _count(strict, gold, pred)
        _count(boundaries, {("", span) for _, span in gold}, {("", span) for _, span in pred})
    micro, per_type = _micro(strict), _per_type(strict)
    return {
        **_named("ents", micro),
        "ents_per_type": per_type,
        **_named("ents_micro", micro),
        **_named("ents_macro", _macro(per_type)),
        **_named("ents_boundaries_micro", _micro(boundaries)),
    }


def score_relations(examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
    """Score `doc._.relations`. A relation is right if its spans, entity types and label are.

    Direction counts: head and tail are not to be swapped. A reference without relations set on it
    counts as one that has none.

    examples (Iterable[Example]): The predictions with their references.
    RETURNS (dict[str, Any]): `rel_micro_p`, `rel_micro_r`, `rel_micro_f`, `rel_macro_*` and
        `rel_per_type`; and the same as `rel_boundaries_*`, for which entity types do not matter.
    """
    strict: Counts = defaultdict(PRFScore)
    boundaries: Counts = defaultdict(PRFScore)
    examples = list(examples)
    references = [example.reference for example in examples]
    if any(len(doc.ents) > 1 for doc in references) and not any(map(has_relations, references)):
        warnings.warn(Warnings.DW001.format(count=len(examples)), stacklevel=2)
    for example in examples:
        gold, pred = _relation_keys(example.reference), _relation_keys(example.predicted)
        _count(strict, gold, pred)
        _count(boundaries, {key[:3] for key in gold}, {key[:3] for key in pred})
    scores: dict[str, Any] = {}
    for name, counts in (("rel", strict), ("rel_boundaries", boundaries)):
        per_type = _per_type(counts)
        scores |= _named(f"{name}_micro", _micro(counts))
        scores |= _named(f"{name}_macro", _macro(per_type))
        scores[f"{name}_per_type"] = per_type
    return scores


def _entity_keys(doc: Doc) -> set[tuple[Any, ...]]:
    at = _offsets(doc)
    return {(ent.label_, at(ent.start_char, ent.end_char)) for ent in doc.ents}


def _relation_keys(doc: Doc) -> set[tuple[Any, ...]]:
    at = _offsets(doc)
    return {
        (
            label,
            at(head.start_char, head.end_char),
            at(tail.start_char, tail.end_char),
            head.label_,
            tail.label_,
        )
        for head, tail, label, _ in get_relations(doc)
    }


def _missing_characters(doc: Doc) -> set[int]:
    """Get the characters (as `_offsets` counts them) whose entity annotation is missing."""
    at = _offsets(doc)
    missing = (range(*at(t.idx, t.idx + len(t))) for t in doc if t.ent_iob == 0)
    return set(chain.from_iterable(missing))


def _offsets(doc: Doc) -> Callable[[int, int], tuple[int, int]]:
    """Make a map from character offsets to ones that count only what is not white space.

    These are the same in the two docs of an `Example`, which may differ in tokens and white space.
    """
    before = list(accumulate((not char.isspace() for char in doc.text), initial=0))
    return lambda start, end: (before[start], before[end])


def _count(counts: Counts, gold: set[tuple[Any, ...]], pred: set[tuple[Any, ...]]) -> None:
    """Add the items of one example to the counts of their labels, which come first in a key."""
    for key in gold | pred:
        score = counts[key[0]]
        score.tp += key in gold and key in pred
        score.fp += key not in gold
        score.fn += key not in pred


def _per_type(counts: Counts) -> dict[str, dict[str, float]]:
    return {label: counts[label].to_dict() for label in sorted(counts)}


def _micro(counts: Counts) -> dict[str, float]:
    return sum(counts.values(), PRFScore()).to_dict()


def _macro(per_type: dict[str, dict[str, float]]) -> dict[str, float]:
    return {m: sum(prf[m] for prf in per_type.values()) / max(len(per_type), 1) for m in "prf"}


def _named(prefix: str, prf: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}_{metric}": value for metric, value in prf.items()}
