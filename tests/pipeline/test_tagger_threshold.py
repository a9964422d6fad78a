import pytest
import spacy
from spacy.tokens import Doc, Span
from thinc.api import ConfigValidationError

from spacy_deeper.pipeline.crf_ner import CRFEntityTagger

from .joint import build, ents_of, fit, start

THRESHOLDS = [0.5, 0.6, 0.75]


@pytest.fixture(scope="module")
def unsure(docs):
    """A pipeline that has learned some of it; without a threshold."""
    nlp, examples = start(docs, seed=1)
    fit(nlp, examples, 70)
    return nlp


def tagged(nlp, docs, threshold) -> list[list[tuple[int, int, str]]]:
    nlp.get_pipe("crf_ner").threshold = threshold
    return [ents_of(nlp(nlp.make_doc(doc.text))) for doc in docs]


def test_the_entities_above_it_are_found(unsure, docs):
    """With what `entity_scores` says of every span of up to four tokens, of every label."""
    tagger = unsure.get_pipe("crf_ner")
    found = {threshold: tagged(unsure, docs, threshold) for threshold in THRESHOLDS}
    for i, gold in enumerate(docs):
        doc = unsure.get_pipe("tok2vec")(unsure.make_doc(gold.text))
        above = {threshold: [] for threshold in THRESHOLDS}
        for first in range(len(doc)):
            for stop in range(first + 1, min(first + 4, len(doc)) + 1):
                for label in tagger.labels:
                    doc.set_ents([Span(doc, first, stop, label)])
                    (score,) = tagger.entity_scores(doc)
                    for threshold in THRESHOLDS:
                        if score > threshold:
                            above[threshold].append((first, stop, label))
        for threshold in THRESHOLDS:
            assert found[threshold][i] == above[threshold], threshold
    counts = [sum(map(len, found[threshold])) for threshold in THRESHOLDS]
    assert counts[-1] > 0
    assert counts[0] > counts[-1]
    assert counts == sorted(counts, reverse=True)


def test_null_is_the_best_tags(unsure, docs):
    best = tagged(unsure, docs, None)
    assert best != tagged(unsure, docs, 0.5)
    assert tagged(unsure, docs, None) == best


def test_alone_and_in_a_batch(unsure, docs):
    alone = tagged(unsure, docs, 0.6)
    together = unsure.pipe([doc.text for doc in docs])
    assert [ents_of(doc) for doc in together] == alone


def test_it_is_saved_and_that_of_the_config_can_be_overridden(trained_path, tmp_path):
    nlp = spacy.load(trained_path)
    assert nlp.get_pipe("crf_ner").threshold is None
    override = {"components.crf_ner.threshold": 0.8}
    assert spacy.load(trained_path, config=override).get_pipe("crf_ner").threshold == 0.8
    nlp.get_pipe("crf_ner").threshold = 0.75
    nlp.to_disk(tmp_path)
    assert spacy.load(tmp_path).get_pipe("crf_ner").threshold == 0.75
    nlp = spacy.load(trained_path, config=override)
    nlp.get_pipe("crf_ner").threshold = None
    nlp.to_disk(tmp_path)
    assert spacy.load(tmp_path).get_pipe("crf_ner").threshold is None


@pytest.mark.parametrize("value", [0.4, 0, 1.1, -1, float("nan"), "0.5", True])
def test_no_threshold(trained, value):
    tagger = trained.get_pipe("crf_ner")
    with pytest.raises(ValueError, match=r"D281.*crf_ner.*from 0\.5 to 1, or null"):
        tagger.threshold = value
    with pytest.raises(ValueError, match="D281"):
        CRFEntityTagger(trained.vocab, tagger.model, threshold=value)
    assert tagger.threshold is None


def test_no_number_in_the_config():
    overrides = {"components.crf_ner.threshold": "high"}
    with pytest.raises(ConfigValidationError, match="threshold"):
        build(overrides=overrides)


def test_scores_of_a_doc_that_was_saved(unsure, docs):
    tagger = unsure.get_pipe("crf_ner")
    doc = unsure(docs[1].text)
    assert len(tagger.entity_scores(doc)) == len(doc.ents)
    saved = Doc(unsure.vocab).from_bytes(doc.to_bytes(exclude=["tensor"]))
    with pytest.raises(ValueError, match=r"\[D220\]"):
        tagger.entity_scores(saved)
    assert tagger.entity_scores(Doc(unsure.vocab)) == []
