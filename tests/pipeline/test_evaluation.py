import pytest
import spacy
from sklearn.metrics import precision_recall_fscore_support
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_deeper.evaluation import evaluate, evaluate_on_gold_entities, with_gold_entities
from spacy_deeper.scoring import relation_keys

from .joint import ents_of, fit, gold_doc, pair, relations_of, start

ANN, OSLO, BO = (0, 1, "Per"), (2, 3, "Loc"), (4, 5, "Per")
WORDS = ["Ann", "left", "Oslo", "with", "Bo"]


@pytest.fixture
def vocab():
    return spacy.blank("en").vocab


def relate_all(doc):
    """Relate any two entities."""
    ents = doc.ents
    doc._.relations = [(a, b, "With") for a in ents for b in ents if a != b]
    return doc


def gold_and(vocab, words, *ents, spaces=None):
    """An example whose predicted doc has other words."""
    gold = gold_doc(vocab, WORDS, [ANN, OSLO, BO], [(0, 1, "With"), (2, 1, "With")])
    return Example(gold_doc(vocab, words, ents, spaces=spaces), gold)


def test_gold_entities_instead_of_predicted_ones(vocab):
    example = gold_and(vocab, WORDS, (1, 2, "Loc"))
    scores = evaluate_on_gold_entities(relate_all, [example])
    assert scores["rel_gold_micro_p"] == pytest.approx(2 / 6)
    assert scores["rel_gold_boundaries_macro_r"] == scores["rel_gold_micro_r"] == 1.0
    assert scores["rel_gold_errors"]["fp"]["pair_invented"] == 4
    assert scores["rel_gold_entities"]["total"] == 3
    # The prediction is as it was.
    assert ents_of(example.predicted) == [(1, 2, "Loc")]
    assert relations_of(example.predicted) == []


def test_other_tokens(vocab):
    words, spaces = ["A", "nn", "\n", "left", "Oslo with", "B", "o"], [0, 1, 0, 1, 1, 0, 0]
    example = gold_and(vocab, words, spaces=list(map(bool, spaces)))
    doc, lost = with_gold_entities(example)
    assert ents_of(doc) == [(0, 2, "Per"), (5, 7, "Per")]
    assert [(span.text, reason) for span, reason in lost.items()] == [("Oslo", "cuts_token")]
    scores = evaluate_on_gold_entities(relate_all, [example])
    # Both relations have Oslo, and Bo with Ann are none.
    assert scores["rel_gold_micro_r"] == 0.0
    assert scores["rel_gold_errors"]["fn"]["entity_missed"] == 2
    assert scores["rel_gold_errors"]["fp"]["pair_invented"] == 2
    expected = {"total": 3, "lost": 1, "cuts_token": 1, "overlaps": 0, "no_type": 0}
    assert scores["rel_gold_entities"] == expected


def test_entities_of_relations_only(vocab):
    """They are entities too, unless doc.ents can't have them."""
    gold = gold_doc(vocab, WORDS, [ANN])
    spans = [Span(gold, *ent) for ent in (ANN, OSLO, (0, 2, "Per"), (3, 4, ""))]
    gold._.relations = [(spans[0], span, "With") for span in spans[1:]]
    doc, lost = with_gold_entities(Example(Doc(vocab, words=WORDS), gold))
    assert ents_of(doc) == [ANN, OSLO]
    assert list(lost.values()) == ["overlaps", "no_type"]


def test_nothing_to_score(vocab):
    """No docs, no tokens, no entities, no relations: zeros, and no errors."""
    plain = Doc(vocab, words=WORDS)
    for examples in (
        [],
        [Example(Doc(vocab), Doc(vocab))],
        [Example(Doc(vocab, words=WORDS), plain)],
        [Example(Doc(vocab, words=WORDS), gold_doc(vocab, WORDS))] * 2,
    ):
        scores = evaluate_on_gold_entities(relate_all, examples)
        assert scores["rel_gold_micro_f"] == scores["rel_gold_macro_f"] == 0.0
        assert scores["rel_gold_per_type"] == {}
        assert scores["rel_gold_errors"]["fn"]["total"] == 0
        assert scores["rel_gold_entities"]["total"] == 0


def test_of_a_trained_pipeline(trained, docs):
    """What it knows by heart it finds, and more surely with the right entities."""
    examples = pair(trained, docs)
    scores = evaluate(trained, examples)
    theirs = trained.evaluate(pair(trained, docs))
    assert {key: scores[key] for key in theirs if key.startswith(("ents_", "rel_"))} == {
        key: value for key, value in theirs.items() if key.startswith(("ents_", "rel_"))
    }
    assert scores["rel_micro_f"] > 0.9
    assert scores["rel_gold_micro_f"] >= scores["rel_micro_f"]
    assert all(example.predicted.tensor.size for example in examples)


def test_on_gold_entities_as_if_predicted(trained, docs):
    """The same as a pipeline whose entities are the gold ones."""
    examples = pair(trained, docs)
    scores = evaluate(trained, examples)
    for example in examples:
        example.predicted = with_gold_entities(example)[0]
    with trained.select_pipes(enable=["tok2vec", "relation_scorer"]):
        again = evaluate(trained, examples)
    assert again["ents_f"] == 1.0
    assert again["rel_per_type"] == scores["rel_gold_per_type"]


def test_disabled_relation_scorer(docs):
    nlp, examples = start(docs[:3])
    with nlp.select_pipes(disable="relation_scorer"):
        assert not any(key.startswith("rel_gold") for key in evaluate(nlp, examples))


def by_sklearn(golds, preds):
    """Score triples as SpERT does: flattened over the docs, each one of the union a sample."""
    union = [(g, p, item) for g, p in zip(golds, preds, strict=True) for item in g | p]
    y_true = [item.label if item in g else "none" for g, _, item in union]
    y_pred = [item.label if item in p else "none" for _, p, item in union]
    labels = sorted({item.label for *_, item in union})
    return {
        average: precision_recall_fscore_support(
            y_true, y_pred, labels=labels, average=average, zero_division=0.0
        )[:3]
        for average in ("micro", "macro")
    }


def test_as_sklearn(docs):
    """Both ways, by a pipeline that makes mistakes, with docs that have no relation."""
    nlp, examples = start(docs)
    fit(nlp, examples[:12], 15)
    nlp.get_pipe("relation_scorer").threshold = 0.2
    examples = pair(nlp, docs)
    scores = evaluate(nlp, examples)
    golds = [relation_keys(eg.reference) for eg in examples]
    end_to_end = [relation_keys(eg.predicted) for eg in examples]
    on_gold = [with_gold_entities(eg)[0] for eg in examples]
    with nlp.select_pipes(enable="relation_scorer"):
        alone = [relation_keys(nlp(doc)) for doc in on_gold]
    assert not all(golds)
    assert any(gold != pred for gold, pred in zip(golds, end_to_end, strict=True))
    assert any(gold != pred for gold, pred in zip(golds, alone, strict=True))
    for name, preds in (("rel", end_to_end), ("rel_gold", alone)):
        for average, values in by_sklearn(golds, preds).items():
            found = [scores[f"{name}_{average}_{metric}"] for metric in "prf"]
            assert found == pytest.approx(values), (name, average)
