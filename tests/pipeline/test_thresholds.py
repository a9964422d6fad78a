import numpy
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from spacy_deeper.evaluation import evaluate
from spacy_deeper.evaluation.thresholds import GRID, Pairs, best, score_pairs, sweep, tune
from spacy_deeper.scoring import score_relations

from .joint import fit, pair, start


@pytest.fixture(scope="module")
def unsure(docs):
    """A pipeline that has learned some of it, so that thresholds matter; with its predictions."""
    nlp, examples = start(docs)
    fit(nlp, examples[:10], 25)
    examples = pair(nlp, docs)
    evaluate(nlp, examples)
    return nlp, examples


def rerun(nlp, docs):
    """The scores that the pipeline really has at its threshold."""
    return evaluate(nlp, pair(nlp, docs))


def test_sweep_as_by_running_again(unsure, docs):
    nlp, examples = unsure
    scorer = nlp.get_pipe("relation_scorer")
    pairs = score_pairs(scorer, examples, batch_size=len(examples))
    # Among scores, and exactly at some
    thresholds = [0.0, 0.01, 0.2, 0.5, 0.9, 1.0, *map(float, pairs.score[:5])]
    points = sweep(pairs, thresholds)
    found = set()
    for point, threshold in zip(points, thresholds, strict=True):
        scorer.threshold = threshold
        scores = rerun(nlp, docs)
        for key in [f"{mean}_{m}" for mean in ("micro", "macro") for m in "prf"]:
            assert point[key] == pytest.approx(scores[f"rel_{key}"]), (threshold, key)
        assert point["per_type"] == scores["rel_per_type"]
        assert point["threshold"] == threshold
        found.add(point["micro_f"])
    assert len(found) > 3
    scorer.threshold = 0.5


def test_own_thresholds_as_by_running_again(unsure, docs):
    nlp, examples = unsure
    scorer = nlp.get_pipe("relation_scorer")
    pairs = score_pairs(scorer, examples)
    own = {label: 0.02 * 3**i for i, label in enumerate(scorer.labels[:3])}
    scorer.label_thresholds = own
    scores = rerun(nlp, docs)
    counts = pairs.counts_at(scorer.threshold, own)
    scorer.label_thresholds = None
    assert {label: prf.to_dict() for label, prf in counts.items()} == scores["rel_per_type"]


def test_tuned_thresholds_are_the_best(unsure, docs):
    """Of all that make a difference, by really running the pipeline."""
    nlp, examples = unsure
    scorer = nlp.get_pipe("relation_scorer")
    pairs = score_pairs(scorer, examples)
    tuned = tune(pairs, scorer.threshold)
    assert tuned
    scorer.label_thresholds = tuned
    scores = rerun(nlp, docs)
    scorer.label_thresholds = None
    for label in tuned:
        number = pairs.labels.index(label)
        tried = {0.0, 0.5, *map(float, pairs.score[pairs.label == number])}
        f_scores = [pairs.counts_at(t)[label].fscore for t in tried if label in pairs.counts_at(t)]
        assert scores["rel_per_type"][label]["f"] == pytest.approx(max(f_scores))


def test_labels_that_the_model_does_not_know(unsure, docs):
    nlp, _ = unsure
    gold = docs[0].copy()
    gold._.relations = [(r.head, r.tail, "New") for r in gold._.relations]
    examples = pair(nlp, [gold])
    scores = evaluate(nlp, examples)
    pairs = score_pairs(nlp.get_pipe("relation_scorer"), examples)
    assert pairs.labels[-1] == "New"
    assert pairs.gold["New"] == len(gold._.relations)
    (point,) = sweep(pairs, [0.5])
    assert point["per_type"] == scores["rel_per_type"]
    assert "New" not in tune(pairs, 0.5)


def test_nothing_to_score(unsure):
    nlp, _ = unsure
    scorer = nlp.get_pipe("relation_scorer")
    for texts in ([], [""], ["nothing"] * 2):
        examples = pair(nlp, [spacy.blank("en")(text) for text in texts])
        pairs = score_pairs(scorer, examples)
        points = sweep(pairs)
        assert [point["threshold"] for point in points] == list(GRID)
        assert all(point["micro_f"] == point["macro_f"] == 0.0 for point in points)
        assert best(points, 0.42)["threshold"] == 0.42
        assert tune(pairs, 0.5) == {}


def test_examples_stay_as_they_are(unsure):
    nlp, examples = unsure
    before = score_relations(examples)
    score_pairs(nlp.get_pipe("relation_scorer"), examples)
    assert score_relations(examples) == before


# Tuning by hand


def make_pairs(*items, gold=None):
    """One label: (score, right)."""
    scores, right = zip(*items, strict=True) if items else ((), ())
    return Pairs(
        ("A",),
        numpy.zeros(len(scores), dtype="int64"),
        numpy.array(scores, dtype="f"),
        numpy.array(right, dtype="bool"),
        {"A": sum(right) if gold is None else gold},
    )


@pytest.mark.parametrize(
    ("items", "gold", "common", "expected"),
    [
        # Midway between the last right one and the next
        ([(0.9, True), (0.8, True), (0.2, False)], None, 0.85, 0.5),
        # The common one is as good
        ([(0.9, True), (0.8, True), (0.2, False)], None, 0.3, 0.3),
        # All are right
        ([(0.9, True), (0.1, True)], None, 0.5, 0.05),
        # Equal scores can't be told apart.
        ([(0.9, True), (0.9, False), (0.4, True), (0.4, False)], None, 0.95, 0.2),
        # Equally good gaps: the widest
        ([(0.9, True), (0.7, False), (0.6, False), (0.2, True), (0.1, False)], 2, 0.95, 0.8),
        # A narrow gap has more digits.
        ([(0.5003, True), (0.5001, False)], None, 0.9, 0.5002),
        # Nothing to tune on
        ([(0.9, False)], 0, 0.5, None),
        # Not one of the gold relations is a candidate.
        ([(0.9, False)], 3, 0.5, None),
        ([], 2, 0.5, None),
    ],
)
def test_tune_by_hand(items, gold, common, expected):
    tuned = tune(make_pairs(*items, gold=gold), common)
    assert tuned == ({} if expected is None else {"A": pytest.approx(expected)})


scores = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1, width=32))


@given(
    st.lists(st.tuples(scores, st.booleans()), min_size=1, max_size=12),
    st.integers(0, 3),
    st.floats(0, 1),
)
def test_no_threshold_is_better(items, missing, common):
    pairs = make_pairs(*items, gold=sum(right for _, right in items) + missing)
    tuned = tune(pairs, common)
    if not any(right for _, right in items):
        assert tuned == {}
        return
    assert 0 <= tuned["A"] <= 1

    def f_score(threshold):
        return pairs.counts_at(threshold)["A"].fscore

    every = [f_score(t) for t in (0.0, common, *(score for score, _ in items))]
    assert f_score(tuned["A"]) == pytest.approx(max(every))
    if f_score(common) == max(every) > 0:
        assert tuned["A"] == common


def test_best_of_equals_is_the_nearest():
    points = [{"threshold": t, "micro_f": f} for t, f in ((0.1, 0.7), (0.3, 0.7), (0.5, 0.6))]
    assert best(points, 0.5)["threshold"] == 0.3
    assert best(points, 0.0)["threshold"] == 0.1
