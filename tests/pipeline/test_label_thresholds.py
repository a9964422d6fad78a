import json
import shutil
from pathlib import Path

import numpy
import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.util import load_model_from_config
from thinc.api import Config, ConfigValidationError

from spacy_deeper.pipeline.relation_scorer import RelationScorer

from .joint import JOINT, build, ents_of, pair, relations_of, same, start


@pytest.fixture
def nlp(trained_path):
    return spacy.load(trained_path)


@pytest.fixture
def scorer(nlp):
    return nlp.get_pipe("relation_scorer")


def write(path, **thresholds):
    """Write the thresholds into the config of a saved pipeline."""
    file = path / "config.cfg"
    text = file.read_text().replace("label_thresholds = null\n", "")
    lines = [f"{label} = {json.dumps(value)}\n" for label, value in thresholds.items()]
    file.write_text(f"{text}\n[components.relation_scorer.label_thresholds]\n{''.join(lines)}")
    return path


@pytest.fixture
def copied_path(trained_path, tmp_path):
    return Path(shutil.copytree(trained_path, tmp_path / "model"))


def blank(**thresholds):
    """The pipeline before it is initialized."""
    values = "".join(f"{label} = {json.dumps(value)}\n" for label, value in thresholds.items())
    text = f"{JOINT}\n[components.relation_scorer.label_thresholds]\n{values}"
    return load_model_from_config(Config().from_str(text), auto_fill=True)


def found(nlp, docs):
    return {(i, r) for i, doc in enumerate(docs) for r in relations_of(nlp(doc.text))}


def test_none_by_default(scorer):
    assert scorer.label_thresholds == {}
    assert "label_thresholds" not in scorer.cfg


def test_each_label_has_its_own(nlp, scorer, docs):
    """One label is decided as by its threshold, the others as by the common one."""
    own, common = 0.0, 0.5
    label = scorer.labels[0]
    by_threshold = {}
    for value in (own, common):
        scorer.threshold = value
        by_threshold[value] = found(nlp, docs)
    scorer.label_thresholds = {label: own}
    expected = {item for item in by_threshold[own] if item[1][-1] == label}
    expected |= {item for item in by_threshold[common] if item[1][-1] != label}
    assert found(nlp, docs) == expected
    assert expected not in by_threshold.values()
    scorer.label_thresholds = None
    assert found(nlp, docs) == by_threshold[common]


def test_as_label_by_label(nlp, scorer, docs):
    """What is set is what a loop over all pairs and labels sets."""
    thresholds = {label: 0.1 ** (i + 1) for i, label in enumerate(scorer.labels[:-1])}
    scorer.label_thresholds = thresholds
    batch = [nlp(doc.text) for doc in docs]
    for doc, values in zip(batch, scorer.predict(batch), strict=True):
        expected = [
            (head, tail, label, score)
            for i, head in enumerate(doc.ents)
            for j, tail in enumerate(doc.ents)
            for k, label in enumerate(scorer.labels)
            if (score := values[i, j, k]) > numpy.float32(thresholds.get(label, 0.5)) and i != j
        ]
        assert [tuple(r)[:3] for r in doc._.relations] == [item[:3] for item in expected]


def test_equal_to_a_score_is_not_above_it(nlp, scorer, docs):
    """In single precision as in the common threshold's comparison."""
    doc = nlp(docs[0].text)
    relation = doc._.relations[0]
    (values,) = scorer.predict([doc])
    for attribute, value in (
        ("threshold", relation.score),
        ("label_thresholds", {relation.label: relation.score}),
    ):
        setattr(scorer, attribute, value)
        scorer.set_annotations([doc], [values])
        assert relation not in doc._.relations
        setattr(scorer, attribute, 0.5 if attribute == "threshold" else None)


def test_saved(nlp, scorer, docs, tmp_path):
    values = {scorer.labels[0]: 0.001, scorer.labels[1]: 1}
    scorer.label_thresholds = values
    doc = nlp(docs[0].text)
    nlp.to_disk(tmp_path)
    for loaded in (spacy.load(tmp_path), build().from_bytes(nlp.to_bytes())):
        assert loaded.get_pipe("relation_scorer").label_thresholds == values
    same(spacy.load(tmp_path)(docs[0].text), doc)


def test_of_the_config(copied_path, docs):
    labels = spacy.load(copied_path).get_pipe("relation_scorer").labels
    nlp = spacy.load(write(copied_path, **{labels[0]: 1.0}))
    assert nlp.get_pipe("relation_scorer").label_thresholds == {labels[0]: 1.0}
    items = found(nlp, docs)
    assert items
    assert all(item[1][-1] != labels[0] for item in items)
    # It is in the saved config, and what is saved beside that does not fix it.
    nlp.to_disk(copied_path)
    override = {f"components.relation_scorer.label_thresholds.{labels[0]}": 0.0}
    again = spacy.load(copied_path, config=override).get_pipe("relation_scorer")
    assert again.label_thresholds == {labels[0]: 0.0}


def test_set_prevails_over_the_config(copied_path, scorer):
    one, two = scorer.labels[:2]
    for values in ({one: 0.3}, {}):
        nlp = spacy.load(write(copied_path, **{two: 0.4}) if values else copied_path)
        nlp.get_pipe("relation_scorer").label_thresholds = values
        nlp.to_disk(copied_path)
        loaded = spacy.load(copied_path).get_pipe("relation_scorer")
        assert loaded.label_thresholds == pytest.approx(values)


def test_a_pipeline_saved_without_the_setting(nlp, tmp_path):
    """As by the first version."""
    nlp.to_disk(tmp_path)
    text = (tmp_path / "config.cfg").read_text()
    assert "label_thresholds = null\n" in text
    (tmp_path / "config.cfg").write_text(text.replace("label_thresholds = null\n", ""))
    assert spacy.load(tmp_path).get_pipe("relation_scorer").label_thresholds == {}


def test_changing_what_is_read_changes_nothing(scorer):
    scorer.label_thresholds[scorer.labels[0]] = 0.9
    values = {scorer.labels[0]: 0.2}
    scorer.label_thresholds = values
    values[scorer.labels[0]] = 0.9
    scorer.label_thresholds[scorer.labels[0]] = 0.9
    assert scorer.label_thresholds == {scorer.labels[0]: 0.2}


@pytest.mark.parametrize(
    ("value", "code"),
    [(-0.1, "D208"), (1.1, "D208"), (float("nan"), "D208"), ("0.5", "D225"), (None, "D225")],
)
def test_values_are_probabilities(scorer, value, code):
    label = scorer.labels[0]
    scorer.label_thresholds = {label: 0.2}
    with pytest.raises(ValueError, match=f"{code}.*label_thresholds.*{label}"):
        scorer.label_thresholds = {label: value}
    assert scorer.label_thresholds == {label: 0.2}
    with pytest.raises(ValueError, match=code):
        RelationScorer(scorer.vocab, scorer.model, label_thresholds={label: value})


@pytest.mark.parametrize("values", [0.5, [("a", 0.5)], "a", {1: 0.5}, {"a": True}])
def test_not_a_mapping_of_labels(scorer, values):
    with pytest.raises(ValueError, match="D225"):
        scorer.label_thresholds = values


def test_unknown_labels(copied_path, scorer, docs):
    with pytest.raises(ValueError, match=r"D226.*'No'.*Kill"):
        scorer.label_thresholds = {"No": 0.5}
    assert scorer.label_thresholds == {}
    # A config is read before the labels are.
    nlp = spacy.load(write(copied_path, No=0.5))
    with pytest.raises(ValueError, match=r"D226.*'No'"):
        nlp(docs[0].text)


def test_unknown_labels_before_training(docs):
    nlp = blank(No=0.5)
    with pytest.raises(ValueError, match=r"D226.*'No'"):
        nlp.initialize(lambda: pair(nlp, docs))


def test_config_is_checked():
    with pytest.raises(ConfigValidationError, match="label_thresholds"):
        blank(Kill="high")
    with pytest.raises(ValueError, match=r"D208.*Kill"):
        blank(Kill=1.5)


def test_a_label_that_is_added_later(docs):
    nlp, _ = start(docs[:3])
    scorer = nlp.get_pipe("relation_scorer")
    assert len(docs[0].ents) > 1
    scorer.threshold = 1.0
    scorer.add_label("New")
    scorer.label_thresholds = {"New": 0.0}
    with nlp.select_pipes(enable=["tok2vec", "relation_scorer"]):
        doc = Doc(nlp.vocab, words=[token.text for token in docs[0]])
        doc.set_ents([Span(doc, *ent) for ent in ents_of(docs[0])])
        relations = nlp(doc)._.relations
    assert len(relations) == len(doc.ents) * (len(doc.ents) - 1)
    assert {relation.label for relation in relations} == {"New"}
