import itertools

import numpy
import pytest
from spacy.tokens import Span
from thinc.api import Adam

from .joint import ents_of, gradients, pair, start, state, step


@pytest.mark.parametrize("weight", [0.0, 1.0, 5.0])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_joint_gradient_is_the_sum(docs, weight, reduction):
    settings = {"loss_reduction": reduction}
    joint, examples = start(docs, loss_weight=weight, **settings)
    tagger, _ = start(docs, pipeline=["tok2vec", "crf_ner"], **settings)
    scorer, _ = start(docs, pipeline=["tok2vec", "relation_scorer"], **settings)
    for nlp in (tagger, scorer):
        nlp.from_bytes(joint.to_bytes())
    assert scorer.get_pipe("relation_scorer").loss_weight == 1.0
    losses = [step(nlp, examples) for nlp in (joint, tagger, scorer)]
    total, ner, re = (gradients(nlp.get_pipe("tok2vec").model) for nlp in (joint, tagger, scorer))
    assert min(abs(ner).max(), abs(re).max()) > 1e-4
    scale = float(abs(ner).max() + abs(re).max())
    assert total == pytest.approx(ner + weight * re, abs=1e-5 * scale)
    assert losses[0]["crf_ner"] == pytest.approx(losses[1]["crf_ner"])
    re_loss = losses[2]["relation_scorer"]
    assert losses[0]["relation_scorer"] == pytest.approx(weight * re_loss)


def test_a_second_step_adds_nothing_left_over(docs):
    """After `finish_update` gradients start from zero again."""
    nlp, examples = start(docs)
    step(nlp, examples, Adam(0.0))
    step(nlp, examples)
    once, _ = start(docs)
    step(once, examples)
    for name in nlp.pipe_names:
        got, expected = (gradients(x.get_pipe(name).model) for x in (nlp, once))
        assert got == pytest.approx(expected, abs=1e-6)


def test_components_that_annotate_take_no_gradient_away(docs):
    found = []
    for annotates in ([], ["tok2vec"], ["tok2vec", "crf_ner"]):
        nlp, examples = start(docs)
        step(nlp, examples, annotates=annotates)
        found.append(gradients(nlp.get_pipe("tok2vec").model))
    assert abs(found[0]).max() > 1e-4
    for other in found[1:]:
        numpy.testing.assert_allclose(other, found[0], atol=1e-6)


# The loss of the tagger, by hand ------------------------------------------------------------------


def logsumexp(x, axis=None):
    return numpy.logaddexp.reduce(x, axis=axis)


def log_partition(emissions, crf, allowed):
    """Sum over all tag sequences that are allowed, (n, K), one by one in the log domain."""
    start, end, between = (
        getattr(crf, f"{name}transitions").detach().numpy().astype("f8")
        for name in ("start_", "end_", "")
    )
    scores = numpy.where(allowed, emissions.astype("f8"), -numpy.inf)
    alpha = start + scores[0]
    for row in scores[1:]:
        alpha = logsumexp(alpha[:, None] + between, axis=0) + row
    return logsumexp(alpha + end)


def tagger_losses(nlp, examples):
    """Return the loss of each text and its number of tokens."""
    pipe = nlp.get_pipe("crf_ner")
    crf = pipe.model.get_ref("crf").shims[0].module
    tags = ["O", *(f"{bio}-{label}" for label in pipe.labels for bio in "BI")]
    losses = []
    for eg in examples:
        gold = [f"{t.ent_iob_}-{t.ent_type_}" if t.ent_type_ else "O" for t in eg.reference]
        truth = numpy.array([[tag == other for other in tags] for tag in gold])
        (emissions,) = pipe.model.predict([nlp.get_pipe("tok2vec")(eg.predicted.copy())])
        every = log_partition(emissions, crf, numpy.ones_like(truth))
        losses.append(every - log_partition(emissions, crf, truth))
    return losses, [len(eg.predicted) for eg in examples]


def relation_losses(nlp, examples):
    """Return the loss of each text and its number of pairs times labels."""
    pipe = nlp.get_pipe("relation_scorer")
    losses, items = [], []
    for eg in examples:
        doc = nlp.get_pipe("tok2vec")(eg.predicted.copy())
        doc.set_ents([Span(doc, *ent) for ent in ents_of(eg.reference)])
        (scores,) = pipe.predict([doc])
        relations = {(r.head, r.tail, r.label) for r in eg.reference._.relations}
        pairs = itertools.permutations(range(len(doc.ents)), 2)
        gold = eg.reference.ents
        terms = [
            -numpy.log(s if (gold[i], gold[j], label) in relations else 1 - s)
            for i, j in pairs
            for label, s in zip(pipe.labels, scores[i, j].astype("f8"), strict=True)
        ]
        losses.append(sum(terms))
        items.append(len(terms))
    return losses, items


@pytest.mark.parametrize("reduction", ["mean", "doc", "sum"])
@pytest.mark.parametrize("by_hand", [tagger_losses, relation_losses])
def test_loss_by_hand(docs, reduction, by_hand):
    nlp, examples = start(docs, loss_reduction=reduction, loss_weight=3.0)
    name = "crf_ner" if by_hand is tagger_losses else "relation_scorer"
    step(nlp, examples, Adam(0.02))  # away from the first weights
    losses, items = by_hand(nlp, examples)
    divisor = {"mean": sum(items), "doc": len(examples), "sum": 1}[reduction]
    weight = 3.0 if name == "relation_scorer" else 1.0
    assert step(nlp, examples)[name] == pytest.approx(weight * sum(losses) / divisor, rel=1e-4)


@pytest.mark.parametrize("reduction", ["mean", "doc", "sum"])
@pytest.mark.parametrize("name", ["crf_ner", "relation_scorer"])
def test_gradient_is_that_of_the_loss(docs, name, reduction):
    """Finite differences of `get_loss`, for random scores."""
    nlp, examples = start(docs, loss_reduction=reduction, loss_weight=3.0)
    examples = examples[:3]
    pipe = nlp.get_pipe(name)
    random = numpy.random.RandomState(0)
    if name == "crf_ner":
        shapes = [(len(eg.predicted), 2 * len(pipe.labels) + 1) for eg in examples]
        eps, tolerance = 0.5, 2e-2  # it computes in single precision
    else:
        shapes = [(len(eg.reference.ents),) * 2 + (len(pipe.labels),) for eg in examples]
        eps, tolerance = 1e-4, 1e-4
    dtype = "f" if name == "crf_ner" else "d"
    scores = [random.normal(size=shape).astype(dtype) for shape in shapes]
    _, d_scores = pipe.get_loss(examples, scores)
    largest = max(float(abs(rows).max()) for rows in d_scores)
    assert largest > 0
    for rows, d_rows in zip(scores, d_scores, strict=True):
        for flat in random.choice(rows.size, min(rows.size, 20), replace=False):
            at = numpy.unravel_index(flat, rows.shape)
            value = rows[at]
            ends = []
            for sign in (1, -1):
                rows[at] = value + sign * eps
                ends.append(pipe.get_loss(examples, scores)[0])
            rows[at] = value
            slope = (ends[0] - ends[1]) / (2 * eps)
            assert d_rows[at] == pytest.approx(slope, abs=tolerance * largest)


def test_the_pair_of_an_entity_with_itself_does_not_count(docs):
    nlp, examples = start(docs)
    pipe = nlp.get_pipe("relation_scorer")
    number = len(examples[0].reference.ents)
    scores = numpy.zeros((number, number, len(pipe.labels)), "f")
    loss, (d_scores,) = pipe.get_loss(examples[:1], [scores])
    other = scores.copy()
    other[numpy.arange(number), numpy.arange(number)] = 7.0
    assert pipe.get_loss(examples[:1], [other])[0] == loss == pytest.approx(numpy.log(2), rel=1e-5)
    assert not d_scores[numpy.arange(number), numpy.arange(number)].any()


def test_every_parameter_learns(docs):
    """The CRF's transitions, the tags' embeddings and all others."""
    nlp, examples = start(docs)
    before = {name: state(pipe.model) for name, pipe in nlp.pipeline}
    for _ in range(2):
        step(nlp, examples, Adam(0.01))
    for name, pipe in nlp.pipeline:
        for key, value in state(pipe.model).items():
            assert abs(value - before[name][key]).max() > 1e-4, (name, key)


def test_the_crf_learns_transitions(docs):
    nlp, examples = start(docs)
    (crf,) = nlp.get_pipe("crf_ner").model.get_ref("crf").shims
    before = crf.module.transitions.detach().clone()
    step(nlp, examples, Adam(0.01))
    assert (crf.module.transitions != before).all()


def test_the_mean_is_over_annotated_tokens(docs):
    nlp, examples = start(docs)
    missing = pair(nlp, [nlp.make_doc(doc.text) for doc in docs[:3]])
    few, many = (step(nlp, batch)["crf_ner"] for batch in (examples, [*examples, *missing]))
    assert few == pytest.approx(many, rel=1e-4)
