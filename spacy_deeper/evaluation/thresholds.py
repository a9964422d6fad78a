"""What the threshold of a `relation_scorer` does to its scores: a sweep, and tuning by label."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray
from spacy.scorer import PRFScore
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import minibatch

from ..pipeline.relation_scorer import RelationScorer
from ..scoring import RelationKey, averages, relation_keys, text_offsets

#: The thresholds of a sweep: 0.00, 0.01, …, 0.99.
GRID = tuple(i / 100 for i in range(100))


class Pairs(NamedTuple):
    """Every ordered pair of predicted entities with every label: n candidate relations.

    labels: The labels that are predicted or gold.
    label: The index of each candidate's label, (n,).
    score: Its score, (n,).
    right: Whether it is a gold relation, entity types included, (n,).
    gold: How many gold relations each label has: some of them may be no candidates.
    """

    labels: tuple[str, ...]
    label: NDArray[numpy.int64]
    score: NDArray[numpy.float32]
    right: NDArray[numpy.bool_]
    gold: dict[str, int]

    def counts_at(
        self, threshold: float, own: Mapping[str, float] | None = None
    ) -> dict[str, PRFScore]:
        """Count what is right and wrong at a threshold, by label.

        threshold (float): θ: what scores above it is predicted.
        own (Optional[Mapping[str, float]]): The thresholds of labels that have one of their own.
        RETURNS (Dict[str, PRFScore]): The counts of the labels with a gold or predicted relation.
        """
        by_label = [(own or {}).get(label, threshold) for label in self.labels]
        # Candidates are compared as the component does it, in single precision.
        above = self.score > numpy.asarray(by_label, dtype="f")[self.label]
        size = len(self.labels)
        tp = numpy.bincount(self.label[above & self.right], minlength=size)
        predicted = numpy.bincount(self.label[above], minlength=size)
        counts = {}
        for label, n_right, n in zip(self.labels, tp.tolist(), predicted.tolist(), strict=True):
            if n or self.gold[label]:
                wrong, missed = n - n_right, self.gold[label] - n_right
                counts[label] = PRFScore(tp=n_right, fp=wrong, fn=missed)
        return counts


def score_pairs(
    scorer: RelationScorer, examples: Iterable[Example], batch_size: int = 128
) -> Pairs:
    """Score all pairs of predicted entities, once for all thresholds.

    scorer (RelationScorer): The component.
    examples (Iterable[Example]): The predictions of the pipeline with their references. They stay
        as they are.
    batch_size (int): How many docs are scored at once.
    """
    scores: list[NDArray[numpy.float32]] = [numpy.zeros(0, dtype="f")]
    labels: list[NDArray[numpy.int64]] = [numpy.zeros(0, dtype="int64")]
    rights: list[NDArray[numpy.bool_]] = [numpy.zeros(0, dtype="bool")]
    gold: Counter[str] = Counter()
    for batch in minibatch(examples, batch_size):
        predicted = scorer.predict([example.predicted for example in batch])
        for example, values in zip(batch, predicted, strict=True):
            values = scorer.model.ops.to_numpy(values)
            keys = relation_keys(example.reference)
            gold.update(key.label for key in keys)
            right = numpy.zeros(values.shape, dtype="bool")
            for index in _indices(keys, example.predicted, scorer.labels):
                right[index] = True
            pairs = ~numpy.eye(len(values), dtype="bool")
            scores.append(values[pairs].ravel())
            rights.append(right[pairs].ravel())
            labels.append(numpy.tile(numpy.arange(values.shape[2]), int(pairs.sum())))
    names = (*scorer.labels, *sorted(set(gold) - set(scorer.labels)))
    return Pairs(
        names,
        numpy.concatenate(labels),
        numpy.concatenate(scores),
        numpy.concatenate(rights),
        {label: gold[label] for label in names},
    )


def sweep(pairs: Pairs, thresholds: Sequence[float] = GRID) -> list[dict[str, Any]]:
    """Score the same pairs at each threshold, which is that of every label.

    RETURNS (List[Dict[str, Any]]): By threshold: "threshold", and "micro_p", "micro_r", "micro_f",
        "macro_*" and "per_type" as `score_relations` has them, without their "rel_".
    """
    return [
        {
            "threshold": threshold,
            **{key[1:]: value for key, value in averages("", pairs.counts_at(threshold)).items()},
        }
        for threshold in thresholds
    ]


def best(points: Iterable[dict[str, Any]], common: float = 0.5) -> dict[str, Any]:
    """Get the point of a sweep with the best micro F-score, of equals that nearest to `common`."""
    return max(points, key=lambda point: (point["micro_f"], -abs(point["threshold"] - common)))


def tune(pairs: Pairs, common: float) -> dict[str, float]:
    """Find the threshold of each label that is best for its F-score.

    It lies midway between two scores, with as few digits as fit between them. `common` stays where
    no threshold is better; of several that are equally good, the one of the widest gap is taken.

    pairs (Pairs): What to tune on.
    common (float): The threshold of the labels that have none of their own.
    RETURNS (Dict[str, float]): The thresholds. A label has none if it has no gold relation among
        the pairs, as there is nothing to tune it on: it falls back to the common threshold.
    """
    tuned = {}
    for number, label in enumerate(pairs.labels):
        of_label = pairs.label == number
        if pairs.right[of_label].any():
            tuned[label] = _best_threshold(
                pairs.score[of_label], pairs.right[of_label], pairs.gold[label], common
            )
    return tuned


def _best_threshold(
    scores: NDArray[numpy.float32], right: NDArray[numpy.bool_], n_gold: int, common: float
) -> float:
    """Return the threshold with the best F-score: right are at most n_gold of the scores."""
    order = numpy.argsort(-scores, kind="stable")
    descending = scores[order]
    tp = numpy.cumsum(right[order])
    n = numpy.arange(1, len(scores) + 1)
    f_scores = 2 * tp / (n + n_gold)
    # Equal scores are all above a threshold or none of them is. The last of them has the count.
    lower = numpy.append(descending[1:], numpy.float32(0))
    possible = descending > lower
    f_scores[~possible] = -1
    at_common = int((scores > numpy.float32(common)).sum())
    if at_common and f_scores[at_common - 1] == f_scores.max():
        return common
    gaps = numpy.where(f_scores == f_scores.max(), descending - lower, -1)
    widest = int(gaps.argmax())
    return _between(float(lower[widest]), float(descending[widest]))


def _between(low: float, high: float) -> float:
    """Return the middle of two numbers, rounded as far as it stays in the inner half of the gap."""
    middle = (low + high) / 2
    for digits in range(2, 8):
        if abs(round(middle, digits) - middle) <= (high - low) / 4:
            return round(middle, digits)
    # The two are next to each other: the scores that are above the lower one, and no others.
    return low


def _indices(
    keys: set[RelationKey], doc: Doc, labels: Sequence[str]
) -> Iterable[tuple[int, int, int]]:
    """Yield where the relations are in the scores of a doc: head, tail, label."""
    at = text_offsets(doc)
    entities = {(ent.label_, at(ent.start_char, ent.end_char)): i for i, ent in enumerate(doc.ents)}
    numbers = {label: k for k, label in enumerate(labels)}
    for label, head, tail, head_type, tail_type in keys:
        head_at, tail_at = entities.get((head_type, head)), entities.get((tail_type, tail))
        if head_at is not None and tail_at is not None and label in numbers:
            yield head_at, tail_at, numbers[label]
