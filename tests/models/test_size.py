"""Parameter counts, and that all rows of the paper's Table 3 have as many."""

from pathlib import Path

import numpy
import pytest
import spacy
from pipeline.joint import gold_doc
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import load_model_from_config, registry
from thinc.api import Config, Linear, Model, PyTorchWrapper
from torch import nn

from spacy_deeper.cli.merge_config import merge_configs
from spacy_deeper.layers.cached import cached
from spacy_deeper.models.size import count_parameters
from spacy_deeper.protocols.ablation import DEPTHS, ablation_rows
from spacy_deeper.protocols.depths import depth_rows

CONFIGS = Path(__file__).parents[2] / "configs"
ENTITIES = ("Loc", "Org", "Other", "Peop")
RELATIONS = ("Kill", "Live_In", "Located_In", "OrgBased_In", "Work_For")
ENCODER_WIDTH = 20


@registry.architectures("test_size_encoder")
def make_encoder(name, layers, pooling, cache_dir):
    """Stands in for the frozen transformer, with parameters that must not count."""

    def forward(model, docs, is_train):
        return [numpy.ones((len(doc), ENCODER_WIDTH), "f") for doc in docs], lambda dYs: []

    def init(model, X=None, Y=None):
        frozen.initialize()

    frozen = Linear(ENCODER_WIDTH, 7)
    return cached(Model("encoder", forward, init=init, layers=[frozen]), max_mb=1)


@pytest.fixture(scope="module")
def conll04():
    """The merged config of CoNLL04, but for the encoder."""
    config = merge_configs(CONFIGS / "base.cfg", CONFIGS / "conll04.cfg")
    embed = config["components"]["tok2vec"]["model"]["embed"]
    embed["contextual"]["@architectures"] = "test_size_encoder"
    return config.to_str(interpolate=False)


def build(config, settings):
    """Build and initialize the pipeline of a config with CoNLL04's labels."""
    complete = Config().from_str(config, overrides=settings, interpolate=False)
    nlp = load_model_from_config(complete, auto_fill=True)
    ents = [(i, i + 1, label) for i, label in enumerate(ENTITIES)]
    gold = gold_doc(nlp.vocab, list("abcd"), ents, [(0, 1, label) for label in RELATIONS])
    nlp.initialize(lambda: [Example(Doc(nlp.vocab, words=list("abcd")), gold)])
    return nlp


def rnn(n_in, size, n_gates):
    """Both directions: for each gate two matrices, and two vectors of biases."""
    return 2 * n_gates * size * (n_in + size + 2)


def dense(n_in, n_out):
    return n_out * (n_in + 1)


def expected_size(n_layers, n_gates=3):
    """Count by the paper's equations, at the sizes of Table 1, with `n_layers` in all."""
    tags, g = 2 * len(ENTITIES) + 1, 512 + 25
    return sum(
        [
            2048 * 32 + rnn(32, 32, n_gates),  # characters
            rnn(ENCODER_WIDTH + 64 + 7, 256, n_gates),  # the first shared layer
            (n_layers - 1) * rnn(512, 256, n_gates),
            dense(512, 64) + dense(64, tags),  # FFNNs of the tagger
            tags * tags + 2 * tags,  # CRF
            tags * 25,  # label embedding
            len(RELATIONS) * g,  # DISTMULT
            dense(g, 128) + dense(2 * 128 + 1 + len(RELATIONS), len(RELATIONS)),
        ]
    )


# Table 3


def test_all_rows_have_as_many_parameters(conll04):
    rows = ablation_rows(Config().from_str(conll04)["vars"])
    assert [tuple(row[key] for key in DEPTHS) for row in rows.values()] == [
        (1, 1, 2),
        (2, 0, 2),
        (3, 1, 0),
        (4, 0, 0),
    ]
    for name, settings in rows.items():
        nlp = build(conll04, settings)
        assert count_parameters(nlp) == expected_size(n_layers=4), name
        depths = [len(list(m.children())) for m in birnns(nlp)]
        assert sum(depths) == 4, name


def birnns(nlp):
    nodes = [node for _, pipe in nlp.pipeline for node in pipe.model.walk()]
    return [node.shims[0]._model.layers for node in nodes if node.name == "birnn"]


@pytest.mark.parametrize(
    ("vars", "code", "said"),
    [
        ({}, "D303", "shared_depth, ner_depth, re_depth"),
        ({"shared_depth": 1, "re_depth": "2"}, "D303", "ner_depth, re_depth"),
        ({"shared_depth": 0, "ner_depth": 1, "re_depth": 1}, "D304", "0 shared"),
        ({"shared_depth": 1, "ner_depth": 0, "re_depth": 1}, "D304", "0 NER-specific"),
        ({"shared_depth": 1, "ner_depth": 1, "re_depth": -1}, "D304", "-1 RE-specific"),
    ],
)
def test_depths_to_ablate(vars, code, said):
    with pytest.raises(ValueError, match=rf"\[{code}\].*{said}"):
        ablation_rows(vars)


# The grid


def test_the_papers_grid():
    rows = depth_rows(["gru", "lstm"], range(1, 4), range(4), range(4))
    assert len(rows) == 96
    assert len({tuple(row.values()) for row in rows.values()}) == 96
    assert rows["lstm-3-0-2"] == {
        "vars.cell": "lstm",
        "vars.shared_depth": 3,
        "vars.ner_depth": 0,
        "vars.re_depth": 2,
    }


def test_a_point_of_the_grid(conll04):
    settings = depth_rows(["lstm"], [1], [0], [1])["lstm-1-0-1"]
    assert count_parameters(build(conll04, settings)) == expected_size(n_layers=2, n_gates=4)


# Counting


def pipeline_of(*models):
    """Make a pipeline of trainable components with these models."""
    nlp = spacy.blank("en")
    for i, model in enumerate(models):
        pipe = nlp.add_pipe("tok2vec", name=str(i))
        pipe.model = model
    return nlp


def test_shared_layers_count_once():
    shared = Linear(4, 3)
    shared.initialize()
    own = Linear(2, 3)
    own.initialize()
    one = Model("one", lambda *args: None, layers=[shared, own])
    assert count_parameters(pipeline_of(one, shared)) == dense(3, 4) + dense(3, 2)


def test_shared_modules_count_once():
    module = nn.Linear(3, 4)
    both = [PyTorchWrapper(module), PyTorchWrapper(nn.Sequential(module, nn.Linear(4, 1)))]
    assert count_parameters(pipeline_of(*both)) == dense(3, 4) + dense(4, 1)


def test_what_is_frozen_does_not_count():
    module = nn.Linear(3, 4)
    module.bias.requires_grad_(False)
    layer = Linear(4, 3)
    layer.initialize()
    nlp = pipeline_of(PyTorchWrapper(module), layer, cached(layer.copy(), max_mb=1))
    assert count_parameters(nlp) == 12 + dense(3, 4)
    nlp.config["training"]["frozen_components"] = ["1"]
    assert count_parameters(nlp) == 12
