"""Gold annotation whose tokens are not those of the pipeline."""

import numpy
import pytest
from spacy.tokens import Doc, Span
from spacy.training import Example

from .joint import fit, gold_doc, relations_of, start, step

ENTS = [(0, 2, "Peop"), (3, 5, "Loc")]
RELATION = [(0, 1, "Live_In")]
WORDS = ["Ann", "Berg-Lund", "left", "New", "York", "."]
SPACES = [True, True, True, True, False, False]
# How the pipeline may split the same text; which tokens the gold tells nothing of, and the last
# token of each entity there.
SPLITS = {
    "the same": (WORDS, SPACES, [], [1, 4]),
    "hyphen": (
        ["Ann", "Berg", "-", "Lund", "left", "New", "York", "."],
        [True, False, False, True, True, True, False, False],
        [],
        [3, 6],
    ),
    "merged entity": (
        ["Ann", "Berg-Lund", "left", "New York", "."],
        [True, True, True, False, False],
        [],
        [1, 3],
    ),
    "merged over a boundary": (
        ["Ann", "Berg-Lund", "left", "New", "York."],
        [True, True, True, True, False],
        [3, 4],
        [1, 4],
    ),
    "characters": (
        list("AnnBerg-LundleftNewYork."),
        [i in (2, 11, 15, 18) for i in range(24)],
        [],
        [11, 22],
    ),
}


@pytest.fixture(scope="module")
def untrained(docs):
    return start(docs)[0]


def example(nlp, split):
    words, spaces, *_ = SPLITS[split]
    gold = gold_doc(nlp.vocab, WORDS, ENTS, RELATION, SPACES)
    return Example(Doc(nlp.vocab, words=words, spaces=spaces), gold)


@pytest.mark.parametrize("split", SPLITS)
def test_tokens_that_gold_does_not_tell_are_unknown(untrained, split):
    """Where tokens are independent, the loss has no gradient at those that are unknown."""
    pipe = untrained.get_pipe("crf_ner")
    eg = example(untrained, split)
    crf = pipe.model.get_ref("crf").shims[0].module
    for parameter in crf.parameters():
        parameter.data.zero_()
    scores = numpy.random.RandomState(0).normal(size=(len(eg.predicted), 9)).astype("f")
    _, (d_scores,) = pipe.get_loss([eg], [scores])
    untaught = abs(d_scores).max(axis=1) < 1e-6
    assert numpy.flatnonzero(untaught).tolist() == SPLITS[split][2]


@pytest.mark.parametrize("split", SPLITS)
def test_relations_are_learned_at_the_last_aligned_token(docs, split, monkeypatch):
    nlp, _ = start(docs)
    eg = example(nlp, split)
    scorer = nlp.get_pipe("relation_scorer")
    seen = []
    forward = scorer.model._func
    monkeypatch.setattr(
        scorer.model, "_func", lambda model, X, **kw: seen.append(X[1]) or forward(model, X, **kw)
    )
    first = step(nlp, [eg])["relation_scorer"]
    assert seen[0][0][:, 0].tolist() == SPLITS[split][3]
    predicted = eg.predicted.copy()
    offsets = ((ent.start_char, ent.end_char, ent.label_) for ent in eg.reference.ents)
    spans = [predicted.char_span(*at, alignment_mode="expand") for at in offsets]
    numpy.testing.assert_array_equal(seen[0][0], scorer._entities(spans))  # as at inference
    assert first > 0
    last = fit(nlp, [eg], 25)[-1][0]["relation_scorer"]
    assert last < 0.1 * first


@pytest.mark.parametrize("split", ["hyphen", "merged entity"])
def test_other_tokens_are_learned_by_heart(docs, split):
    nlp, _ = start(docs)
    eg = example(nlp, split)
    fit(nlp, [eg], 60)
    doc = Doc(nlp.vocab, words=SPLITS[split][0], spaces=SPLITS[split][1])
    for _, pipe in nlp.pipeline:
        doc = pipe(doc)
    last = SPLITS[split][3]
    assert [(ent.end - 1, ent.label_) for ent in doc.ents] == [(last[0], "Peop"), (last[1], "Loc")]
    assert [(r.head, r.tail, r.label) for r in doc._.relations] == [(*doc.ents, "Live_In")]


def test_two_entities_in_one_token(docs):
    """The last tokens coincide; there is still a pair to learn from."""
    nlp, _ = start(docs)
    gold = gold_doc(
        nlp.vocab, ["Nairobi", "-", "Kenya"], [(0, 1, "Loc"), (2, 3, "Loc")],
        [(0, 1, "Located_In")], [False] * 3,
    )  # fmt: skip
    eg = Example(Doc(nlp.vocab, words=["Nairobi-Kenya"], spaces=[False]), gold)
    losses = fit(nlp, [eg], 10)
    assert 0 < losses[-1][0]["relation_scorer"] < losses[0][0]["relation_scorer"]


def test_a_gold_entity_of_space_alone(docs):
    """The prediction has no token for it. It cannot be scored, and is no reason to stop."""
    nlp, _ = start(docs)
    gold = Doc(nlp.vocab, words=["Ann", " ", "Oslo"], spaces=[True, False, False])
    gold.set_ents([Span(gold, 0, 1, "Peop"), Span(gold, 1, 2, "Loc"), Span(gold, 2, 3, "Loc")])
    gold._.relations = [(gold.ents[0], gold.ents[2], "Live_In")]
    eg = Example(Doc(nlp.vocab, words=["Ann", "Oslo"], spaces=[True, False]), gold)
    assert step(nlp, [eg])["relation_scorer"] > 0


def test_arguments_that_are_not_in_ents(docs):
    """Overlapping entities do not fit into doc.ents, but relations may have them."""
    nlp = start(docs)[0]
    gold = gold_doc(nlp.vocab, ["Bank", "of", "Kenya", "works"], [(0, 3, "Org")])
    inner = Span(gold, 2, 3, "Loc")
    gold._.relations = [(gold.ents[0], inner, "OrgBased_In")]
    words = [token.text for token in gold]
    eg = Example(Doc(nlp.vocab, words=words), gold)
    losses = fit(nlp, [eg], 40)
    assert losses[-1][0]["relation_scorer"] < 0.05 * losses[0][0]["relation_scorer"]


def test_several_labels_and_both_directions(docs):
    nlp = start(docs)[0]
    relations = [(0, 1, "Live_In"), (0, 1, "Kill"), (1, 0, "Kill"), (2, 1, "OrgBased_In")]
    ents = [(0, 1, "Peop"), (2, 3, "Loc"), (4, 5, "Org")]
    words = ["Ann", "left", "Oslo", "for", "Shell"]
    gold = gold_doc(nlp.vocab, words, ents, relations)
    eg = Example(Doc(nlp.vocab, words=words), gold)
    fit(nlp, [eg], 60)
    doc = Doc(nlp.vocab, words=words)
    for _, pipe in nlp.pipeline:
        doc = pipe(doc)
    assert sorted(relations_of(doc)) == sorted(relations_of(gold))
