import pytest
import spacy
from spacy.tokens import Doc, Span
from thinc.api import ConfigValidationError

from spacy_deeper.pipeline.crf_ner import CRFEntityTagger
from spacy_deeper.schemes import OUTSIDE, bio

from .joint import build, ents_of, fit, pair, start


@pytest.fixture(scope="module")
def spacys(docs):
    """spaCy's own `ner`, on the same sentences."""
    nlp = spacy.blank("en")
    width = {"width": 32, "depth": 1, "embed_size": 200}
    nlp.add_pipe("ner", config={"model": {"tok2vec": width}})
    examples = pair(nlp, docs)
    nlp.initialize(lambda: examples)
    fit(nlp, examples, 30)
    return nlp


@pytest.fixture(scope="module", params=["crf_ner", "crf_ner with a threshold", "ner"])
def tag(request):
    """Tag a doc, with our component and with spaCy's: they agree on what was there before."""
    if request.param == "ner":
        return request.getfixturevalue("spacys").get_pipe("ner")
    nlp = spacy.load(request.getfixturevalue("trained_path"))
    if request.param != "crf_ner":
        nlp.get_pipe("crf_ner").threshold = 0.5
    return lambda doc: nlp.get_pipe("crf_ner")(nlp.get_pipe("tok2vec")(doc))


@pytest.fixture
def doc(docs):
    """Make a doc which both taggers find entities in, with none of them set."""
    return Doc(docs[0].vocab, words=[t.text for t in docs[0]])


def test_finds_entities(tag, doc, docs):
    assert ents_of(tag(doc)) == ents_of(docs[0])
    assert not {token.ent_iob for token in doc} & {0}


def test_entities_that_are_there_stay(tag, doc, docs):
    first, *others = ents_of(docs[0])
    start = first[0]
    doc.set_ents([Span(doc, start, start + 1, "OTHER", kb_id="Q1", span_id="x")], default="missing")
    tag(doc)
    assert ents_of(doc)[0] == (start, start + 1, "OTHER")
    assert (doc.ents[0].kb_id_, doc.ents[0].ent_id_) == ("Q1", "x")
    assert set(others) <= set(ents_of(doc))
    assert first not in ents_of(doc)
    assert all(token.ent_iob_ for token in doc)


def test_entities_outside_its_own_stay(tag, doc, docs):
    taken = {i for start, end, _ in ents_of(docs[0]) for i in range(start, end)}
    free = next(i for i in range(len(doc)) if i not in taken)
    doc.set_ents([Span(doc, free, free + 1, "OTHER")], default="missing")
    assert (free, free + 1, "OTHER") in ents_of(tag(doc))


def test_an_entity_over_everything_leaves_no_room(tag, doc):
    doc.set_ents([Span(doc, 0, len(doc), "OTHER")])
    assert ents_of(tag(doc)) == [(0, len(doc), "OTHER")]


def test_blocked_tokens_stay(tag, doc, docs):
    first, *others = ents_of(docs[0])
    start, end, _ = first
    doc.set_ents([], blocked=[doc[start:end]], default="missing")
    tag(doc)
    assert all(token.ent_iob_ == "B" and not token.ent_type for token in doc[start:end])
    assert ents_of(doc) == others


def test_what_is_outside_may_become_an_entity(tag, doc, docs):
    """As with spaCy's: O is no annotation to respect."""
    doc.set_ents([], default="outside")
    assert ents_of(tag(doc)) == ents_of(docs[0])


def test_missing_becomes_outside(tag, doc):
    doc.set_ents([], default="missing")
    assert {token.ent_iob for token in doc} == {0}
    tag(doc)
    assert 0 not in {token.ent_iob for token in doc}
    assert 2 in {token.ent_iob for token in doc}


def test_twice_is_once(tag, doc):
    once = [(t.ent_iob_, t.ent_type_) for t in tag(doc)]
    assert [(t.ent_iob_, t.ent_type_) for t in tag(doc)] == once


def test_twice_is_once_with_blocked_tokens(tag, doc, docs):
    start, end, _ = ents_of(docs[0])[0]
    doc.set_ents([], blocked=[doc[start:end]], default="missing")
    once = [(t.ent_iob_, t.ent_type_) for t in tag(doc)]
    assert [(t.ent_iob_, t.ent_type_) for t in tag(doc)] == once


@pytest.mark.filterwarnings("ignore:.*DW200")  # the label is not one of its own
def test_entities_of_a_ruler(trained_path, docs):
    nlp = spacy.load(trained_path)
    ruler = nlp.add_pipe("entity_ruler", before="crf_ner")
    ruler.add_patterns([{"label": "RULED", "pattern": docs[0].ents[1].text, "id": "r1"}])
    doc = nlp(docs[0].text)
    labels = [ent.label_ for ent in doc.ents]
    assert labels == ["RULED" if i == 1 else e.label_ for i, e in enumerate(docs[0].ents)]
    assert doc.ents[1].ent_id_ == "r1"


@pytest.mark.parametrize("seed", range(5))
def test_tags_are_well_formed(docs, seed):
    """Also of a model that knows nothing."""
    nlp, examples = start(docs, seed=seed, pipeline=["tok2vec", "crf_ner"])
    pipe = nlp.get_pipe("crf_ner")
    legal = bio.legal_transitions(bio.n_tags(len(pipe.labels)))
    batch = [nlp.get_pipe("tok2vec")(eg.predicted) for eg in examples]
    found = 0
    for doc, tags in zip(batch, pipe.predict(batch), strict=True):
        assert len(tags) == len(doc)
        assert bio.legal_starts(len(legal))[tags[0]]
        assert legal[tags[:-1], tags[1:]].all()
        found += len(bio.tags_to_spans(tags))
    assert found


def test_tags_go_round_the_entities_that_are_there(trained, docs):
    """No entity is cut in two halves, and none grows over one that is there."""
    pipe = trained.get_pipe("crf_ner")
    gold = next(doc for doc in docs if any(len(ent) > 1 for ent in doc.ents))
    long = next(ent for ent in gold.ents if len(ent) > 1)
    doc = trained.get_pipe("tok2vec")(Doc(trained.vocab, words=[t.text for t in gold]))
    doc.set_ents([Span(doc, long.start, long.start + 1, "OTHER")])
    (tags,) = pipe.predict([doc])
    legal = bio.legal_transitions(bio.n_tags(len(pipe.labels)))
    assert tags[long.start] == OUTSIDE
    assert legal[tags[:-1], tags[1:]].all()


def test_unknown_reduction(trained):
    with pytest.raises(ConfigValidationError, match="loss_reduction"):
        build(loss_reduction="median")
    with pytest.raises(ValueError, match=r"D203.*loss_reduction.*mean, doc, sum"):
        CRFEntityTagger(trained.vocab, trained.get_pipe("crf_ner").model, loss_reduction="median")
