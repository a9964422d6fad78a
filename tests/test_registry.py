"""The public surface is frozen: what was released keeps its name and its meaning."""

from importlib.metadata import distribution

import pytest
import spacy
from spacy.util import registry

GROUPS = {
    "spacy_factories": "factories",
    "spacy_architectures": "architectures",
    "spacy_scorers": "scorers",
    "spacy_batchers": "batchers",
    "spacy_callbacks": "callbacks",
    "spacy_cli": "cli",
    "thinc_layers": "layers",
    "thinc_optimizers": "optimizers",
}
PUBLIC = {
    "factories": {"crf_ner", "relation_scorer"},
    "architectures": {
        "spacy_deeper.CRFTagger.v1",
        "spacy_deeper.Elmo.v1",
        "spacy_deeper.FrozenTransformer.v1",
        "spacy_deeper.JointEmbed.v1",
        "spacy_deeper.RelationModel.v1",
        "spacy_deeper.TransformerModel.v1",
    },
    "layers": {
        "spacy_deeper.BiRNN.v1",
        "spacy_deeper.CRF.v1",
        "spacy_deeper.Casing.v1",
        "spacy_deeper.CharBiRNN.v1",
        "spacy_deeper.DistMult.v1",
        "spacy_deeper.LabelEmbedding.v1",
        "spacy_deeper.RelationHead.v1",
        "spacy_deeper.ScalarMix.v1",
        "spacy_deeper.StaticVectors.v1",
        "spacy_deeper.TwoLayerScorer.v1",
    },
    "optimizers": {"spacy_deeper.Layered.v1", "spacy_deeper.NAdam.v1"},
    "batchers": {"spacy_deeper.batch_twice.v1"},
    "callbacks": {
        "spacy_deeper.name_parameters.v1",
        "spacy_deeper.start_from.v1",
        "spacy_deeper.use_caches.v1",
    },
    "scorers": {"spacy_deeper.crf_ner_scorer.v1", "spacy_deeper.relation_scorer.v1"},
    "cli": {"relations"},
}
ENTRY_POINTS = [
    pytest.param(GROUPS[point.group], point, id=f"{point.group}:{point.name}")
    for point in distribution("spacy-deeper").entry_points
]


def test_nothing_is_missing_and_nothing_is_new():
    found = {name: set() for name in PUBLIC}
    for param in ENTRY_POINTS:
        name, point = param.values
        found[name].add(point.name)
    assert found == PUBLIC


@pytest.mark.parametrize(("name", "point"), ENTRY_POINTS)
def test_entry_point_is_what_is_registered(name, point):
    declared = point.load()
    if name == "factories":
        # spaCy keeps a wrapped function there, and what it knows of it elsewhere.
        assert spacy.blank("en").has_factory(point.name)
        meta = spacy.Language.get_factory_meta(point.name)
        assert meta.factory == point.name
        assert registry.factories.get(point.name).__qualname__ == declared.__qualname__
    else:
        assert getattr(registry, name).get(point.name) is declared


@pytest.mark.parametrize("name", registry.get_registry_names())
def test_no_other_names_are_registered(name):
    for param in ENTRY_POINTS:  # what else their modules register, too
        param.values[1].load()
    ours = {key for key in getattr(registry, name).get_all() if key.startswith("spacy_deeper.")}
    assert ours == {key for key in PUBLIC.get(name, ()) if key.startswith("spacy_deeper.")}


def test_versions():
    names = set().union(*PUBLIC.values()) - PUBLIC["factories"] - PUBLIC["cli"]
    assert all(name.startswith("spacy_deeper.") and name.endswith(".v1") for name in names)
