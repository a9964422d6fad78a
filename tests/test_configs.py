"""The configs of the experiments, against Table 1 of Crone (2020)."""

from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
import srsly
from spacy.schemas import ConfigSchemaTraining
from spacy.util import load_model_from_config, registry
from thinc.api import Optimizer

from spacy_deeper.cli.merge_config import merge_configs
from spacy_deeper.protocols.runs import Run
from spacy_deeper.protocols.variants import read_variants
from spacy_deeper.protocols.worker import run_config

CONFIGS = Path(__file__).parents[1] / "configs"
# The overlays over base.cfg.
STACKS = {
    "sample": ["sample"],
    "conll04": ["conll04"],
    "conll04_elmo": ["conll04", "conll04_elmo"],
    "conll04_best": ["conll04", "conll04_best"],
    "conll04_finetune": ["conll04", "conll04_best", "conll04_finetune"],
    "ade": ["ade"],
    "ade_elmo": ["ade", "ade_elmo"],
}

# A width is that of both directions together: twice the "BiRNN size" of the table.
TABLE_1 = {
    "conll04": {
        "cell": "gru",
        "width": 2 * 256,
        "char": 2 * 32,
        "depths": (1, 1, 2),
        "ner": (64, "tanh"),
        "re": (128, "relu"),
        "label_embedding": 25,
        "dropout": pytest.approx((0.35, 0.5)),
        "threshold": 0.9,
        "loss_weight": 5.0,
        "optimizer": ("spacy_deeper.NAdam.v1", 5e-4),
        "regularization": [0.0, 0.0],
    },
    "ade": {
        "cell": "gru",
        "width": 2 * 128,
        "char": 2 * 32,
        "depths": (1, 1, 1),
        "ner": (64, "relu"),
        "re": (128, "relu"),
        "label_embedding": 25,
        "dropout": (0.5, 0.5),
        "threshold": 0.9,
        "loss_weight": 5.0,
        "optimizer": ("Adam.v1", 5e-4),
        "regularization": [0.0, 0.0],
    },
}


def merged(name):
    return merge_configs(*(CONFIGS / f"{part}.cfg" for part in ("base", *STACKS[name])))


def settings(config):
    """Return a config's values under the names of the table."""
    config = config.interpolate()
    parts = config["components"]
    shared, ner, re = (parts[name]["model"] for name in ("tok2vec", "crf_ner", "relation_scorer"))
    encoders = [shared["encode"], ner["encode"], re["encode"]]
    listeners = [ner["tok2vec"], re["tok2vec"]]
    (cell,) = {part["cell"] for part in (*encoders, shared["embed"]["char"])}
    (width,) = {part["width"] for part in (*encoders, *listeners)}
    training = config["training"]
    learn_rate = training["optimizer"].get("default", training["optimizer"])["learn_rate"]
    if isinstance(learn_rate, dict):  # a schedule
        learn_rate = learn_rate["initial_rate"]
    return {
        "cell": cell,
        "width": width,
        "char": shared["embed"]["char"]["width"],
        "depths": tuple(part["depth"] for part in encoders),
        "ner": (ner["hidden_size"], ner["activation"]),
        "re": (re["head"]["hidden_size"], re["head"]["activation"]),
        "label_embedding": re["label_embedding"],
        "dropout": (training["dropout"], re["head"]["dropout"]),
        "threshold": parts["relation_scorer"]["threshold"],
        "loss_weight": parts["relation_scorer"]["loss_weight"],
        "optimizer": (training["optimizer"]["@optimizers"], learn_rate),
        "regularization": [training["optimizer"].get(name, 0.0) for name in ("L2", "grad_clip")],
    }


@pytest.mark.parametrize("name", TABLE_1)
def test_table_1(name):
    assert settings(merged(name)) == settings(merged(f"{name}_elmo")) == TABLE_1[name]


def test_every_config_is_tested():
    assert {path.stem for path in CONFIGS.glob("*.cfg")} == {"base", *STACKS}


@pytest.mark.parametrize("name", TABLE_1)
def test_the_inputs_of_the_paper(name):
    """ELMo, GloVe, characters and casing: equation 1."""
    embed = merged(f"{name}_elmo").interpolate()["components"]["tok2vec"]["model"]["embed"]
    parts = {
        key: part.get("@architectures") or part["@layers"]
        for key, part in embed.items()
        if isinstance(part, dict)
    }
    assert parts == {
        "contextual": "spacy_deeper.Elmo.v1",
        "static": "spacy_deeper.StaticVectors.v1",
        "char": "spacy_deeper.CharBiRNN.v1",
        "casing": "spacy_deeper.Casing.v1",
    }


def test_batch_sizes():
    for name, size in (("ade", 16), ("conll04", 2)):
        batcher = merged(name)["training"]["batcher"]
        assert batcher == {"@batchers": "spacy.batch_by_sequence.v1", "size": size}


@pytest.fixture(scope="module", params=[name for name in STACKS if name != "conll04_finetune"])
def built(request):
    """Build a pipeline; the transformer's weights are read when it is initialized."""
    pytest.importorskip("spacy_transformers")
    config = merged(request.param)
    return config, load_model_from_config(config, auto_fill=True)


def test_builds(built):
    config, nlp = built
    assert nlp.pipe_names == ["tok2vec", "crf_ner", "relation_scorer"]
    expected = settings(config)
    scorer = nlp.get_pipe("relation_scorer")
    assert scorer.threshold == expected["threshold"]
    assert scorer.loss_weight == expected["loss_weight"]
    nlp._link_components()  # which spaCy 3.3 does when it trains
    assert nlp.get_pipe("tok2vec").listening_components == nlp.pipe_names[1:]
    for (_, pipe), depth in zip(nlp.pipeline, expected["depths"], strict=True):
        encoders = [node for node in pipe.model.walk() if node.name == "birnn"]
        assert len(encoders) == bool(depth)
        assert all(node.get_dim("nO") == expected["width"] for node in encoders)


def test_sections_for_training(built):
    """They are complete and valid."""
    _, nlp = built
    config = nlp.config.interpolate()
    training = registry.resolve(config["training"], schema=ConfigSchemaTraining)
    assert isinstance(training["optimizer"], Optimizer)
    assert training["train_corpus"] == "corpora.train"
    weights = training["score_weights"]
    assert weights["ents_micro_f"] == weights["rel_micro_f"] == 0.5
    assert sum(weight or 0.0 for weight in weights.values()) == 1.0


@pytest.mark.parametrize(("name", "batch_size"), [("conll04", 2), ("conll04_best", 4)])
def test_the_schedule_ends_with_the_epochs(name, batch_size):
    training = merged(name).interpolate()["training"]
    steps = -(-922 // batch_size)
    assert training["batcher"]["size"] == batch_size
    assert training["eval_frequency"] == steps
    assert training["optimizer"]["learn_rate"]["total_steps"] == steps * training["max_epochs"]


def test_fine_tuning():
    """The rest is that of our best, and the schedules end with the epochs."""
    pytest.importorskip("spacy_transformers")
    config = merged("conll04_finetune")
    best = settings(merged("conll04_best"))
    assert settings(config) == {
        **best,
        "optimizer": ("spacy_deeper.Layered.v1", pytest.approx(2.6e-4)),
    }
    nlp = load_model_from_config(config, auto_fill=True)
    assert nlp.pipe_names == ["transformer", "tok2vec", "crf_ner", "relation_scorer"]
    nlp._link_components()  # which spaCy 3.3 does when it trains
    assert nlp.get_pipe("transformer").listening_components == ["tok2vec"]
    training = registry.resolve(nlp.config.interpolate()["training"], schema=ConfigSchemaTraining)
    optimizer = training["optimizer"]
    steps = training["max_epochs"] * 2 * -(-922 // 8)
    rates = []
    for _ in range(steps + 1):
        rates.append((optimizer.learn_rate, optimizer.components["transformer"].learn_rate))
        optimizer.step_schedules()
    assert rates[0] == rates[-1] == (0.0, 0.0)
    assert max(rates) == pytest.approx((2.6e-4, 1.3e-4))
    assert all(other == pytest.approx(encoder * 2) for other, encoder in rates)


def test_each_ingredient_is_one(tmp_path):
    """The settings of each row are in our best config, and other there; of a committee one member
    is taken apart, and three are a row."""
    config = merged("conll04_best")
    committee = {
        f"vars.{name}": config["vars"][name] for name in ("members", "width", "char_width")
    }
    (command,) = [
        line
        for command in srsly.read_yaml(CONFIGS.parent / "project.yml")["commands"]
        if command["name"] == "ingredients-conll04"
        for line in command["script"]
    ]
    for key, value in committee.items():
        one = int(command.partition(f"--{key} ")[2].split()[0])
        assert value == 3 * one
        config["vars"][key.removeprefix("vars.")] = one
    rows = read_variants(CONFIGS / "ingredients.json", config)
    assert rows["A committee of three"] == committee
    differ(rows, config)


def test_ingredients_of_fine_tuning():
    """As above; and a row without adversarial training has each batch once, and as many of them."""
    config = merged("conll04_finetune")
    rows = read_variants(CONFIGS / "finetune_ingredients.json", config)
    differ(rows, config)
    once = config["training"]["batcher"]["batcher"]
    epochs = 2 * config["training"]["max_epochs"]
    plain = [row for row in rows.values() if "training.batcher" in row]
    assert plain
    for row in plain:
        run = run_config(
            config, Run("plain", "", Path("a"), Path("b"), settings=row, dev=Path("c")), Path()
        )
        assert run["training"]["batcher"] == once
        assert run["training"]["max_epochs"] == epochs
        assert run["components"]["tok2vec"]["model"]["embed"]["adversarial"] == 0.0


def differ(rows, config):
    """Check that rows, but for "Ours", change settings of a config to others than it has."""
    assert rows.pop("Ours") == {}
    for row in rows.values():
        for key, value in row.items():
            there = reduce(getitem, key.split("."), config)
            assert there != value, key
