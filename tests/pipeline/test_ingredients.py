"""Losses and noise beyond the paper, and all of what is beyond it at once."""

import numpy
import pytest
import spacy
from spacy.tokens import Span
from spacy.training import Example
from spacy.util import fix_random_seed
from thinc.api import NumpyOps

from spacy_deeper.pipeline.gold_entities import GoldEntities
from spacy_deeper.pipeline.loss import binary_cross_entropy, relation_loss
from spacy_deeper.schemes import bio

from .joint import build, fit, gold_doc, pair, relations_of, same, start, step

OPS = NumpyOps()
SETTINGS = {
    "smoothing": {"label_smoothing": 0.2},
    "weight": {"negative_weight": 0.3},
    "focal": {"focal_gamma": 2.0},
    "flat focal": {"focal_gamma": 0.5},
    "all": {"label_smoothing": 0.1, "negative_weight": 1.7, "focal_gamma": 1.5},
}


def by_hand(x: float, y: float, label_smoothing=0.0, negative_weight=1.0, focal_gamma=0.0):
    p = 1 / (1 + numpy.exp(-x))
    target = y * (1 - label_smoothing / 2) + (1 - y) * label_smoothing / 2
    loss = -target * (1 - p) ** focal_gamma * numpy.log(p)
    loss -= (1 - target) * p**focal_gamma * numpy.log(1 - p)
    return loss * (1 if y else negative_weight)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_losses(settings: dict) -> None:
    logits = numpy.linspace(-6, 6, 25)
    for y in (0.0, 1.0):
        truth = numpy.full_like(logits, y)
        loss, gradient = relation_loss(OPS, logits, truth, **settings)
        numpy.testing.assert_allclose(loss, by_hand(logits, y, **settings), atol=1e-12)
        ends = [by_hand(logits + eps, y, **settings) for eps in (1e-5, -1e-5)]
        numpy.testing.assert_allclose(gradient, (ends[0] - ends[1]) / 2e-5, atol=1e-8)
        single = relation_loss(OPS, logits.astype("f"), truth.astype("f"), **settings)
        assert {values.dtype for values in single} == {numpy.dtype("f")}
        far, d_far = relation_loss(OPS, numpy.array([-1e3, 1e3]), truth[:2], **settings)
        assert numpy.isfinite(far).all()
        assert numpy.isfinite(d_far).all()


def test_the_default_loss_is_the_papers() -> None:
    logits = numpy.random.default_rng(0).normal(size=(3, 3, 2)).astype("f")
    truth = (logits > 1).astype("f")
    loss, gradient = relation_loss(OPS, logits, truth)
    numpy.testing.assert_array_equal(loss, binary_cross_entropy(numpy, logits, truth))
    numpy.testing.assert_array_equal(gradient, OPS.sigmoid(logits) - truth)


def scorer_with(nlp, **settings):
    pipe = nlp.get_pipe("relation_scorer")
    for name, value in settings.items():
        setattr(pipe, name, value)
    return pipe


def test_the_components_loss(docs) -> None:
    nlp, examples = start(docs)
    settings = SETTINGS["all"]
    pipe = scorer_with(nlp, **settings)
    (eg,) = examples[:1]
    count, n_labels = len(eg.reference.ents), len(pipe.labels)
    scores = numpy.random.default_rng(0).normal(size=(count, count, n_labels))
    loss, (d_scores,) = pipe.get_loss([eg], [scores])
    ents = list(eg.reference.ents)
    gold = {(r.head, r.tail, r.label) for r in eg.reference._.relations}
    terms = [
        by_hand(scores[i, j, k], (ents[i], ents[j], label) in gold, **settings)
        for i in range(count)
        for j in range(count)
        for k, label in enumerate(pipe.labels)
        if i != j
    ]
    assert loss == pytest.approx(sum(terms) / len(terms), rel=1e-5)
    assert not d_scores[numpy.arange(count), numpy.arange(count)].any()


@pytest.mark.parametrize("setting", ["label_smoothing", "negative_weight", "entity_noise"])
def test_settings_are_checked(setting: str) -> None:
    nlp = spacy.blank("en")
    with pytest.raises(ValueError, match=rf"D2(08|18).*{setting}"):
        nlp.add_pipe("relation_scorer", config={setting: -0.5})


# Noise --------------------------------------------------------------------------------------------


def test_noise_changes_types_alone(docs) -> None:
    nlp, _ = start(docs)
    pipe = scorer_with(nlp, entity_noise=0.25)
    n_tags = bio.n_tags(len(pipe.entity_labels))
    before = numpy.array([(i, 1 + i % (n_tags - 1), i) for i in range(8000)])
    after = pipe._with_noise(before.copy())
    numpy.testing.assert_array_equal(after[:, [0, 2]], before[:, [0, 2]])
    changed = after[:, 1] != before[:, 1]
    assert changed.mean() == pytest.approx(0.25, abs=0.03)
    old, new = before[changed, 1], after[changed, 1]
    assert (bio.label_numbers(old) != bio.label_numbers(new)).all()
    typed = new > 0
    assert (old[typed] % 2 == new[typed] % 2).all()  # B stays B, and I stays I
    shares = numpy.bincount(bio.label_numbers(new)) / len(new)
    assert shares == pytest.approx(1 / len(shares), abs=0.05)
    pipe.entity_noise = 1.0
    assert (pipe._with_noise(before.copy())[:, 1] != before[:, 1]).all()


def test_noise_repeats_with_the_seed_and_none_draws_none(docs) -> None:
    nlp, examples = start(docs)
    pipe = scorer_with(nlp, entity_noise=0.5)
    losses = []
    for _ in range(2):
        fix_random_seed(3)
        losses.append(step(nlp, examples)["relation_scorer"])
    assert losses[0] == losses[1]
    pipe.entity_noise = 0.0
    drawn = numpy.random.get_state()[1].copy()
    assert step(nlp, examples)["relation_scorer"] != losses[0]
    numpy.testing.assert_array_equal(numpy.random.get_state()[1], drawn)


def test_wrong_entities_are_unrelated(docs) -> None:
    nlp = spacy.blank("en")
    words = ["Poe", "was", "born", "in", "Boston"]
    ents = [(0, 1, "Peop"), (4, 5, "Loc")]
    gold = gold_doc(nlp.vocab, words, ents, [(0, 1, "Live_In")])
    predicted = gold_doc(nlp.vocab, words, [(0, 1, "Peop"), (3, 5, "Loc")])
    found = GoldEntities(Example(predicted, gold), predicted.ents)
    assert [span.label_ for span in found.spans] == ["Peop", "Loc", "Loc"]
    assert (found.first, found.last) == ([0, 4, 3], [0, 4, 4])
    assert found.relations == [(0, 1, "Live_In")]


def test_predicted_entities_train(docs) -> None:
    nlp, examples = start(docs)
    scorer_with(nlp, predicted_entities=True)
    with pytest.raises(ValueError, match=r"D280.*annotating_components"):
        step(nlp, examples)
    losses = step(nlp, examples, annotates=["tok2vec", "crf_ner"])
    scorer_with(nlp, predicted_entities=False)
    assert losses["relation_scorer"] != step(nlp, examples)["relation_scorer"]


def test_predicted_entities_of_other_types_train(docs) -> None:
    """A gold one must be known; another component may set what it likes."""
    nlp, _ = start(docs)
    scorer_with(nlp, predicted_entities=True)
    (eg,) = pair(nlp, [docs[0].copy()])
    eg.predicted.set_ents([Span(eg.predicted, 0, 1, "PLANET")])
    with pytest.warns(UserWarning, match=r"\[DW200\].*PLANET"):
        assert step(nlp, [eg])["relation_scorer"] > 0
    scorer_with(nlp, predicted_entities=False)
    eg.reference.set_ents([Span(eg.reference, 0, 1, "PLANET")])
    with pytest.raises(ValueError, match=r"\[D211\].*PLANET"):
        step(nlp, [eg])


# All at once --------------------------------------------------------------------------------------


def test_everything_learns_and_loads(docs, tmp_path) -> None:
    scorer = {
        "label_smoothing": 0.05,
        "negative_weight": 0.8,
        "entity_noise": 0.05,
        "model": {
            "entity": "ends",
            "head": {
                "context": "between",
                "distance": True,
                "type_pairs": True,
                "scorer_hidden": 24,
            },
        },
    }
    nlp = build(overrides={"components": {"relation_scorer": scorer}})
    examples = pair(nlp, docs)
    nlp.initialize(lambda: examples)
    fit(nlp, examples, 40)
    found = [set(relations_of(nlp(doc.text))) for doc in docs]
    gold = [set(relations_of(doc)) for doc in docs]
    right = sum(len(one & other) for one, other in zip(found, gold, strict=True))
    assert right >= 0.8 * sum(map(len, gold))
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    for doc in docs:
        same(loaded(doc.text), nlp(doc.text))
    head = loaded.get_pipe("relation_scorer").model.get_ref("output_layer")
    assert all(p.grad is None for p in head.shims[0].module.parameters())
    loaded.get_pipe("relation_scorer").add_entity_label("PLANET")
    loaded.get_pipe("relation_scorer").add_label("Orbits")
    assert loaded(docs[0].text).ents


@pytest.mark.parametrize("adversarial", [0.0, 0.02])
def test_adversarial_training_raises_the_loss_of_a_batch_that_comes_twice(
    adversarial, docs
) -> None:
    embed = {"components": {"tok2vec": {"model": {"embed": {"adversarial": adversarial}}}}}
    nlp, examples = start(docs, overrides=embed)
    losses = []
    for _ in range(2):
        found: dict[str, float] = {}
        nlp.update(examples, drop=0.0, sgd=False, losses=found)
        losses.append(found)
    first, second = losses
    raised = [second[name] > first[name] for name in ("crf_ner", "relation_scorer")]
    assert raised == [adversarial > 0] * 2
