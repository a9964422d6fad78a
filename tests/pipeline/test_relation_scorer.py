import warnings

import numpy
import pytest
import spacy
from spacy.tokens import Doc, Span
from thinc.api import ConfigValidationError

from spacy_deeper.pipeline.relation_scorer import RelationScorer

from .joint import build, ents_of, relations_of, same, start

OTHER = {"components": {"relation_scorer": {"threshold": 0.1}}}


@pytest.fixture
def nlp(trained_path):
    return spacy.load(trained_path)


@pytest.fixture
def scorer(nlp):
    return nlp.get_pipe("relation_scorer")


@pytest.fixture
def gold(docs):
    """A sentence with relations."""
    return docs[0]


def test_reads_entities_that_others_set(nlp, gold):
    """A ruler instead of the tagger, with the labels of the training."""
    ruler = nlp.add_pipe("entity_ruler", before="crf_ner")
    ruler.add_patterns([{"label": ent.label_, "pattern": ent.text} for ent in gold.ents])
    with nlp.select_pipes(disable="crf_ner"):
        doc = nlp(gold.text)
    assert ents_of(doc) == ents_of(gold)
    assert sorted(relations_of(doc)) == sorted(relations_of(gold))


def test_unknown_entity_labels_warn_once(nlp, gold):
    ruler = nlp.add_pipe("entity_ruler", before="crf_ner")
    ruler.add_patterns([{"label": "PLANET", "pattern": ent.text} for ent in gold.ents])
    nlp.get_pipe("relation_scorer").threshold = 0.01
    with pytest.warns(UserWarning, match=r"DW200.*'PLANET'.*Loc, Org, Other, Peop") as caught:
        doc = nlp(gold.text)
    assert sum("DW200" in str(warning.message) for warning in caught) == 1
    assert {ent.label_ for ent in doc.ents} == {"PLANET"}
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=r"\[DW200\]")
        again = nlp(gold.text)
    same(again, doc)
    # Untyped entities are scored, by what their tokens say.
    assert all(r.head.label_ == "PLANET" for r in doc._.relations)


def test_scores_are_floats_above_the_threshold(nlp, scorer, docs):
    for threshold in (0.0, 0.01, 0.5, 0.99):
        scorer.threshold = threshold
        scores = [r.score for doc in docs for r in nlp(doc.text)._.relations]
        assert scores
        assert all(type(score) is float and threshold < score <= 1.0 for score in scores)


def test_threshold_decides(nlp, scorer, docs):
    """A higher one leaves a part of what a lower one has; at 1 nothing is left."""
    found = []
    for threshold in (0.0, 0.5, 1.0):
        scorer.threshold = threshold
        found.append({(i, r) for i, doc in enumerate(docs) for r in relations_of(nlp(doc.text))})
    assert found[0] > found[1] > found[2] == set()


def test_relations_are_set_anew_each_time(nlp, scorer, gold):
    doc = nlp(gold.text)
    assert doc._.relations
    scorer.threshold = 1.0
    assert scorer(doc)._.relations == []


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.5", None])
def test_threshold_is_a_probability(scorer, value):
    with pytest.raises(ValueError, match=r"D208.*threshold.*0 and 1"):
        scorer.threshold = value
    assert scorer.threshold == 0.5
    with pytest.raises(ValueError, match="D208"):
        RelationScorer(scorer.vocab, scorer.model, threshold=value)


@pytest.mark.parametrize("setting", ["threshold", "loss_weight"])
def test_settings_are_numbers(setting):
    with pytest.raises(ConfigValidationError, match=setting):
        build(**{setting: "high"})


def test_threshold_of_the_config():
    assert build(threshold=0.9).get_pipe("relation_scorer").threshold == 0.9


def test_threshold_is_saved(nlp, scorer, gold, tmp_path):
    scorer.threshold = 0.001
    doc = nlp(gold.text)
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert loaded.get_pipe("relation_scorer").threshold == 0.001
    same(loaded(gold.text), doc)
    again = build().from_bytes(nlp.to_bytes())
    assert again.get_pipe("relation_scorer").threshold == 0.001


def test_threshold_is_overridden_at_loading(trained_path, gold):
    nlp = spacy.load(trained_path, config=OTHER)
    assert nlp.get_pipe("relation_scorer").threshold == 0.1
    assert all(r.score > 0.1 for r in nlp(gold.text)._.relations)


def test_what_was_changed_is_overridden_at_loading(trained_path, tmp_path):
    """Numbers are those that were set, which srsly's JSON alone would not give back."""
    nlp = spacy.load(trained_path)
    scorer = nlp.get_pipe("relation_scorer")
    label = scorer.labels[0]
    scorer.threshold = 0.3
    scorer.label_thresholds = {label: 0.6}
    nlp.to_disk(tmp_path)
    scorer = spacy.load(tmp_path).get_pipe("relation_scorer")
    assert (scorer.threshold, scorer.label_thresholds) == (0.3, {label: 0.6})
    override = {"components.relation_scorer.threshold": 0.8}
    scorer = spacy.load(tmp_path, config=override).get_pipe("relation_scorer")
    assert (scorer.threshold, scorer.label_thresholds) == (0.8, {label: 0.6})


def test_both_directions_are_scored(nlp, scorer, gold):
    doc = nlp(gold.text)
    (scores,) = scorer.predict([doc])
    for head, tail, label, score in doc._.relations:
        i, j, k = doc.ents.index(head), doc.ents.index(tail), scorer.labels.index(label)
        assert scores[i, j, k] == pytest.approx(score)
        assert scores[j, i, k] < 0.5


def test_scores_follow_their_entities(trained, gold):
    """Any two of the entities are scored as they are beside the others."""
    scorer = trained.get_pipe("relation_scorer")
    doc = trained(gold.text)
    ents = list(doc.ents)
    assert len(ents) == 3
    (every,) = scorer.predict([doc])
    doc.set_ents([ents[0], ents[2]])
    (two,) = scorer.predict([doc])
    off = ~numpy.eye(2, dtype=bool)
    assert two[off] == pytest.approx(every[numpy.ix_([0, 2], [0, 2])][off], abs=1e-5)


def test_entity_types_matter(trained, gold):
    scorer = trained.get_pipe("relation_scorer")
    doc = trained(gold.text)
    (before,) = scorer.predict([doc])
    doc.set_ents([Span(doc, ent.start, ent.end, "Other") for ent in doc.ents])
    (after,) = scorer.predict([doc])
    assert abs(before - after).max() > 0.1


def test_predicted_entities_do_not_matter_in_training(docs):
    """It learns from gold entities, whatever the predicted doc has."""
    nlp, examples = start(docs)
    plain = nlp.update(examples, sgd=False, losses={})["relation_scorer"]
    for eg in examples:
        eg.predicted.set_ents([Span(eg.predicted, 0, 2, "Loc")])
    assert nlp.update(examples, sgd=False, losses={})["relation_scorer"] == plain


def test_predict_leaves_docs_alone(trained, gold):
    doc = trained.make_doc(gold.text)
    doc.set_ents([Span(doc, 0, 2, "Peop"), Span(doc, 6, 7, "Loc")])
    trained.get_pipe("relation_scorer").predict([trained.get_pipe("tok2vec")(doc)])
    assert doc._.relations == []
    assert ents_of(doc) == [(0, 2, "Peop"), (6, 7, "Loc")]


def test_without_a_tagger(docs):
    nlp, examples = start(docs, pipeline=["tok2vec", "relation_scorer"])
    assert set(nlp.update(examples, losses={})) == {"tok2vec", "relation_scorer"}
    assert nlp(docs[0].text)._.relations == []
    doc = Doc(nlp.vocab, words=[t.text for t in docs[0]])
    doc.set_ents([Span(doc, *ent) for ent in ents_of(docs[0])])
    nlp.get_pipe("relation_scorer").threshold = 0.0
    assert len(nlp(doc)._.relations) == 6 * 5


def test_another_packages_extension(trained_path):
    """zshot and GLiREL use the name as well: an error, not a silent mixture."""
    own = Doc.get_extension("relations")
    Doc.set_extension("relations", default=[], force=True)
    try:
        with pytest.raises(ValueError, match="D001"):
            spacy.load(trained_path)
    finally:
        _, _, getter, setter = own
        Doc.set_extension("relations", getter=getter, setter=setter, force=True)
    assert spacy.load(trained_path)


def test_the_threshold_itself_is_not_enough(nlp, scorer):
    """A score must exceed it, as in the paper."""
    doc = Doc(nlp.vocab, words=["Ann", "left", "Oslo"], ents=["B-Peop", "O", "B-Loc"])
    scores = numpy.zeros((2, 2, len(scorer.labels)), dtype="f")
    scores[0, 1, 0], scores[1, 0, 0], scores[1, 0, 1] = 0.5, 0.25, 0.75
    scores[0, 0, 0] = 0.99  # an entity and itself are no pair
    scorer.threshold = 0.5
    scorer.set_annotations([doc], [scores])
    assert [(head, tail, r) for head, tail, r, _ in doc._.relations] == [
        (doc.ents[1], doc.ents[0], scorer.labels[1])
    ]


@pytest.mark.parametrize("value", [-1.0, "5", None, float("nan"), True])
def test_loss_weight_is_a_number(nlp, scorer, value):
    with pytest.raises(ValueError, match="D218"):
        RelationScorer(nlp.vocab, scorer.model, loss_weight=value)
