import math

import numpy
import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import Adam

from spacy_deeper import has_relations

from .joint import build, ents_of, gradients, pair, relations_of, same, start, step, torch_modules

TEXTS = ["", "Oslo", " ", " \n\n ", "nothing of note happened here", "She left Nairobi ."]


def with_ents(nlp, number):
    """Make a doc of one-word entities, every second token, by the shared layers alone."""
    doc = nlp.get_pipe("tok2vec")(Doc(nlp.vocab, words=["Oslo", "and"] * max(number, 1)))
    doc.set_ents([Span(doc, i, i + 1, "Loc") for i in range(0, 2 * number, 2)])
    return doc


@pytest.mark.parametrize("text", TEXTS)
def test_predicts_on(trained, text):
    doc = trained(text)
    assert doc.text == text
    assert isinstance(doc._.relations, list)
    assert all(token.ent_iob_ for token in doc)


def test_predicts_on_long_text(trained, trained_path, docs):
    """Each sentence is far from the next one's influence; the text has 5,000 tokens."""
    text = " ".join(doc.text for doc in docs)
    repeats = 5000 // len(trained.make_doc(text)) + 1
    # A threshold that few of the 1.5 million ordered pairs pass, as in a model for long texts.
    nlp = spacy.load(trained_path)
    nlp.get_pipe("relation_scorer").threshold = 0.9999
    doc = nlp(" ".join([text] * repeats))
    assert len(doc) >= 5000
    assert len(doc.ents) > 30 * repeats
    assert has_relations(doc)


def test_a_mixed_batch_is_as_each_alone(trained, docs):
    texts = [*TEXTS, docs[0].text, "", docs[8].text]
    for text, doc in zip(texts, trained.pipe(texts), strict=True):
        same(doc, trained(text), 1e-5)
    assert list(trained.pipe([""] * 3))
    assert relations_of(trained(docs[0].text))


@pytest.mark.parametrize("number", [0, 1, 2, 200])
def test_scores_any_number_of_entities(trained_path, number):
    nlp = spacy.load(trained_path)
    scorer = nlp.get_pipe("relation_scorer")
    doc = with_ents(nlp, number)
    (scores,) = scorer.predict([doc])
    assert scores.shape == (number, number, len(scorer.labels))
    assert 0 <= scores.min(initial=0) <= scores.max(initial=0) <= 1
    scorer.threshold = 0.5
    i = numpy.arange(number)
    scores[i, i] = 0.0
    assert len(scorer(doc)._.relations) == (scores > 0.5).sum()


def test_scores_docs_of_any_number_of_entities_together(trained):
    scorer = trained.get_pipe("relation_scorer")
    batch = [trained.make_doc(""), *(with_ents(trained, n) for n in (0, 3, 1, 30))]
    alone = [scorer.predict([doc])[0] for doc in batch]
    for got, expected in zip(scorer.predict(batch), alone, strict=True):
        assert got == pytest.approx(expected, abs=1e-5)
    assert [len(scores) for scores in alone] == [0, 0, 3, 1, 30]


def batches(nlp, docs):
    """Make batches for training, by name."""
    empty = Example(nlp.make_doc(""), nlp.make_doc(""))
    blank = Example(nlp.make_doc("\n\n"), nlp.make_doc("\n\n"))
    full = [Example(nlp.make_doc(doc.text), doc) for doc in docs[:3]]
    nothing = [Example(nlp.make_doc(doc.text), doc) for doc in docs if not doc.ents]
    missing = [Example(nlp.make_doc(doc.text), nlp.make_doc(doc.text)) for doc in docs[:3]]
    one = [Example(nlp.make_doc(doc.text), doc) for doc in docs if len(doc.ents) == 1]
    assert nothing
    assert one
    return {
        "empty": [empty, empty],
        "some empty": [empty, *full, empty],
        "blank": [blank, empty],
        "no entities": nothing,
        "one entity": one,
        "no annotation": missing,
        "some annotation": [*missing, *full],
    }


NAMES = [
    "empty",
    "some empty",
    "blank",
    "no entities",
    "one entity",
    "no annotation",
    "some annotation",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reduction", ["mean", "doc", "sum"])
def test_trains_on(docs, name, reduction):
    nlp, _ = start(docs, loss_reduction=reduction)
    sgd = Adam(0.01)
    for _ in range(2):
        losses = step(nlp, batches(nlp, docs)[name], sgd)
        assert set(losses) == {"tok2vec", "crf_ner", "relation_scorer"}
        assert all(type(loss) is float and math.isfinite(loss) for loss in losses.values())
    for _, pipe in nlp.pipeline:
        for module in torch_modules(pipe.model):
            assert all(p.isfinite().all() for p in module.parameters())
    assert ents_of(nlp(docs[0].text)) is not None


@pytest.mark.parametrize("name", ["no entities", "one entity"])
def test_the_shared_layers_learn_from_the_tagger_where_there_are_no_pairs(docs, name):
    """The scorer is the last listener: it has to pass on its zeros."""
    nlp, _ = start(docs)
    step(nlp, batches(nlp, docs)[name])
    joint = gradients(nlp.get_pipe("tok2vec").model)
    alone, _ = start(docs, pipeline=["tok2vec", "crf_ner"])
    alone.from_bytes(nlp.to_bytes())
    losses = step(alone, batches(alone, docs)[name])
    assert losses["crf_ner"] > 0
    assert abs(joint).max() > 1e-4
    assert joint == pytest.approx(gradients(alone.get_pipe("tok2vec").model), abs=1e-6)


def test_unannotated_text_teaches_nothing(docs):
    nlp, _ = start(docs)
    losses = step(nlp, batches(nlp, docs)["no annotation"])
    assert losses["crf_ner"] == losses["relation_scorer"] == 0.0
    assert abs(gradients(nlp.get_pipe("tok2vec").model)).max() == pytest.approx(0, abs=1e-7)


def test_empty_docs_change_nothing_in_a_sum(docs):
    losses = []
    for name in ("some empty", "full"):
        nlp, examples = start(docs, loss_reduction="sum")
        batch = batches(nlp, docs).get(name, examples[:3])
        losses.append(step(nlp, batch))
        losses[-1]["gradient"] = abs(gradients(nlp.get_pipe("tok2vec").model)).sum()
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize("first", ["", " "])
def test_initializes_where_the_first_texts_are_empty(docs, first):
    """Only some of the examples are a sample for the sizes: those that have tokens."""
    nlp = build()
    empty = [Example(nlp.make_doc(first), nlp.make_doc(first)) for _ in range(12)]
    examples = pair(nlp, docs)
    nlp.initialize(lambda: [*empty, *examples])
    assert step(nlp, examples)["crf_ner"] > 0
