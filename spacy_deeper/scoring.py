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
from typing import Any, NamedTuple, TypeAlias

from spacy.scorer import PRFScore
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import registry

from .errors import Warnings
from .relations import OVERLAPPING, get_relations, has_relations

Scorer: TypeAlias = Callable[..., dict[str, Any]]
Counts: TypeAlias = defaultdict[str, PRFScore]
#: A span by its characters, as `text_offsets` counts them: the same in both docs of an `Example`.
Place: TypeAlias = tuple[int, int]


class RelationKey(NamedTuple):
    """What makes a relation the same in two docs; the first three do if types do not matter."""

    label: str
    head: Place
    tail: Place
    head_type: str
    tail_type: str


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

    Entities of a reference that overlap others, if `relations convert --overlap spans` kept them in
    `doc.spans`, are to be found too, though `doc.ents` can't hold both.

    As in spaCy, references without any entity annotation are skipped, and so are predictions that
    touch a token whose annotation is missing.

    examples (Iterable[Example]): The predictions with their references.
    RETURNS (dict[str, Any]): `ents_p`, `ents_r`, `ents_f` and `ents_per_type`, named as spaCy's;
        `ents_micro_*`, which are the same; `ents_macro_*`; and all of these as
        `ents_boundaries_*`, for which the label does not matter. Of one label these are the
        precision of what was predicted with it and the recall of what should have been.
    """
    strict: Counts = defaultdict(PRFScore)
    # What was predicted with a label (its true and false positives), and what is gold with it.
    predicted: Counts = defaultdict(PRFScore)
    wanted: Counts = defaultdict(PRFScore)
    for example in examples:
        if not example.reference.has_annotation("ENT_IOB"):
            continue
        gold, pred = entity_keys(example.reference), entity_keys(example.predicted)
        missing = _missing_characters(example.reference)
        pred = {(label, span) for label, span in pred if missing.isdisjoint(range(*span))}
        _count(strict, gold, pred)
        gold_spans, pred_spans = {span for _, span in gold}, {span for _, span in pred}
        for label, span in pred:
            predicted[label].tp += span in gold_spans
            predicted[label].fp += span not in gold_spans
        for label, span in gold:
            wanted[label].tp += span in pred_spans
            wanted[label].fn += span not in pred_spans
    scores = averages("ents", strict)
    boundaries = {
        label: _prf(predicted[label].precision, wanted[label].recall)
        for label in sorted(predicted | wanted)
    }
    total = sum(predicted.values(), PRFScore()), sum(wanted.values(), PRFScore())
    return {
        **{f"ents_{metric}": scores[f"ents_micro_{metric}"] for metric in "prf"},
        **scores,
        **_named("ents_boundaries_micro", _prf(total[0].precision, total[1].recall)),
        **_named("ents_boundaries_macro", _macro(boundaries)),
        "ents_boundaries_per_type": boundaries,
    }


def score_relations(examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
    """Score `doc._.relations`. A relation is right if its spans, entity types and label are.

    Direction counts: head and tail are not to be swapped. A reference without relations set on it
    counts as one that has none.

    examples (Iterable[Example]): The predictions with their references.
    RETURNS (dict[str, Any]): `rel_micro_p`, `rel_micro_r`, `rel_micro_f`, `rel_macro_*` and
        `rel_per_type`; and the same as `rel_boundaries_*`, for which entity types do not matter.
    """
    examples = list(examples)
    references = [example.reference for example in examples]
    if any(len(doc.ents) > 1 for doc in references) and not any(map(has_relations, references)):
        warnings.warn(Warnings.DW001.format(count=len(examples)), stacklevel=2)
    return score_relation_keys(
        (relation_keys(example.reference), relation_keys(example.predicted)) for example in examples
    )


def score_relation_keys(
    docs: Iterable[tuple[set[RelationKey], set[RelationKey]]], name: str = "rel"
) -> dict[str, Any]:
    """Score relations that are no longer in docs: see `score_relations`.

    docs (Iterable[Tuple[Set[RelationKey], Set[RelationKey]]]): Gold and predicted ones, by doc.
    name (str): What the names of the scores begin with.
    """
    strict: Counts = defaultdict(PRFScore)
    boundaries: Counts = defaultdict(PRFScore)
    for gold, pred in docs:
        _count(strict, gold, pred)
        _count(boundaries, {key[:3] for key in gold}, {key[:3] for key in pred})
    return {
        **averages(name, strict),
        **averages(f"{name}_boundaries", boundaries),
    }


def entity_keys(doc: Doc) -> set[tuple[str, Place]]:
    """Get the entities of a doc, as what can be compared with those of another: label, place.

    Those that overlap others and were kept in `doc.spans` count too.
    """
    at = text_offsets(doc)
    ents = [*doc.ents, *doc.spans.get(OVERLAPPING, ())]
    return {(ent.label_, at(ent.start_char, ent.end_char)) for ent in ents}


def relation_keys(doc: Doc) -> set[RelationKey]:
    """Get the relations of a doc, as what can be compared with those of another."""
    at = text_offsets(doc)
    return {
        RelationKey(
            label,
            at(head.start_char, head.end_char),
            at(tail.start_char, tail.end_char),
            head.label_,
            tail.label_,
        )
        for head, tail, label, _ in get_relations(doc)
    }


def _missing_characters(doc: Doc) -> set[int]:
    """Get the characters (as `text_offsets` counts them) whose entity annotation is missing."""
    at = text_offsets(doc)
    missing = (range(*at(t.idx, t.idx + len(t))) for t in doc if t.ent_iob == 0)
    return set(chain.from_iterable(missing))


def text_offsets(doc: Doc) -> Callable[[int, int], Place]:
    """Make a map from character offsets to ones that count only what is not white space.

    These are the same in the two docs of an `Example`, which may differ in tokens and white space.
    """
    before = list(accumulate((not char.isspace() for char in doc.text), initial=0))
    return lambda start, end: (before[start], before[end])


def averages(name: str, counts: dict[str, PRFScore]) -> dict[str, Any]:
    """Get the scores `{name}_micro_*`, `{name}_macro_*` and `{name}_per_type`."""
    by_label = {label: counts[label].to_dict() for label in sorted(counts)}
    return {
        **_named(f"{name}_micro", sum(counts.values(), PRFScore()).to_dict()),
        **_named(f"{name}_macro", _macro(by_label)),
        f"{name}_per_type": by_label,
    }


def _count(counts: Counts, gold: set[Any], pred: set[Any]) -> None:
    """Add the items of one example to the counts of their labels, which come first in a key."""
    for key in gold | pred:
        score = counts[key[0]]
        score.tp += key in gold and key in pred
        score.fp += key not in gold
        score.fn += key not in pred


def _macro(by_label: dict[str, dict[str, float]]) -> dict[str, float]:
    return {m: sum(prf[m] for prf in by_label.values()) / max(len(by_label), 1) for m in "prf"}


def _prf(precision: float, recall: float) -> dict[str, float]:
    # spaCy adds 1e-100 to denominators instead, with the same result.
    f_score = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"p": precision, "r": recall, "f": f_score}


def _named(prefix: str, prf: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}_{metric}": value for metric, value in prf.items()}
