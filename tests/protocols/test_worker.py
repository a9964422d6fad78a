import platform
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import spacy
import srsly
from pipeline.joint import relations_of
from spacy.cli.train import train as spacy_train
from spacy.tokens import DocBin
from spacy.training import Corpus, Example
from spacy.vocab import Vocab
from thinc.api import Config, Optimizer

from spacy_deeper.evaluation import evaluate
from spacy_deeper.protocols import worker
from spacy_deeper.protocols.runs import Run
from spacy_deeper.protocols.worker import (
    ONE_TEXT,
    PROGRESS,
    count_steps,
    fit_schedules,
    run_config,
    without_repeats,
    work,
)

from .tiny import tiny_config, write_sample

N_TRAIN = 7


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_sample(folder / "train.spacy", "train", N_TRAIN)
    write_sample(folder / "dev.spacy", "dev", 3)
    write_sample(folder / "test.spacy", "test", 3)
    return folder


def make_run(data, **fields):
    fields = {"train": data / "train.spacy", "test": data / "test.spacy", **fields}
    return Run("one", "One", **fields)


def do(run, folder, config=None, select="last", keep_models=False):
    text = (config or tiny_config()).to_str(interpolate=False)
    return work(run, folder, config=text, select=select, gpu_id=-1, keep_models=keep_models)


# Schedules and steps


def test_schedules_end_with_the_training():
    optimizer = {
        "@optimizers": "Adam.v1",
        "L2": 0.0,
        "learn_rate": {"@schedules": "warmup_linear.v1", "warmup_steps": 50, "total_steps": 200},
        "beta1": {"schedule": {"total_steps": 100}, "rate": 1},
        "beta2": {"total_steps": 0, "warmup_steps": 7},
    }
    fit_schedules(optimizer, 10)
    assert optimizer["learn_rate"]["total_steps"] == 10
    assert optimizer["learn_rate"]["warmup_steps"] == 2
    assert optimizer["beta1"] == {"schedule": {"total_steps": 10}, "rate": 1}
    assert optimizer["beta2"] == {"total_steps": 0, "warmup_steps": 7}


@pytest.fixture
def rates(monkeypatch):
    """The learn rate of each of an optimizer's steps."""
    found = []

    def step_schedules(self):
        step(self)
        found.append(self.learn_rate)

    step = Optimizer.step_schedules
    monkeypatch.setattr(Optimizer, "step_schedules", step_schedules)
    return found


# Seven texts make three batches of an epoch; spaCy counts steps from 0 and max_steps is the last.
@pytest.mark.parametrize(
    ("epochs", "max_steps", "n_steps"), [(2, 0, 6), (2, 100, 6), (0, 3, 4), (5, 3, 4), (-1, 3, 4)]
)
def test_steps_are_those_of_spacy(tmp_path, data, rates, epochs, max_steps, n_steps):
    config = tiny_config(training__max_epochs=epochs, training__max_steps=max_steps)
    run = make_run(data)
    assert count_steps(run_config(config, run, tmp_path)) == n_steps
    assert do(run, tmp_path, config)["n_steps"] == n_steps
    assert len(rates) == n_steps
    assert rates[-1] == pytest.approx(0, abs=1e-6)  # the schedule has come to its end
    progress = srsly.read_json(tmp_path / PROGRESS)
    assert (progress["step"], progress["n_steps"]) == (n_steps, n_steps)


def test_a_schedule_by_a_variable_is_fitted(tmp_path, data, rates):
    config = tiny_config(vars__n=1000)
    config["training"]["optimizer"]["learn_rate"]["total_steps"] = "${vars.n}"
    do(make_run(data), tmp_path, config)
    assert rates[-1] == pytest.approx(0, abs=1e-6)


def test_patience(tmp_path, data):
    """It ends a training that has dev data, and none that is not scored at all."""
    config = tiny_config(training__max_epochs=4, training__optimizer__learn_rate__initial_rate=0.0)
    assert do(make_run(data), tmp_path, config)["n_steps"] == 12
    assert do(make_run(data, dev=data / "dev.spacy"), tmp_path, config)["n_steps"] == 2


def test_endless_training(tmp_path, data):
    config = tiny_config(training__max_epochs=0)
    with pytest.raises(ValueError, match="D301"):
        do(make_run(data), tmp_path, config)


# Configs


def test_paths_with_a_dollar(tmp_path, data):
    folder = tmp_path / "a$b"
    folder.mkdir()
    run = make_run(data, train=Path(shutil.copy(data / "train.spacy", folder)))
    config = run_config(tiny_config(), run, folder)
    assert config["paths"]["train"] == str(folder / "train.spacy")
    if not spacy.__version__.startswith("3.3."):  # which takes it for a variable
        assert do(run, folder)["n_steps"] == 6


def test_config_of_a_run(tmp_path, data):
    run = make_run(data, seed=3, settings={"vars.re_depth": 2}, dev=data / "dev.spacy")
    config = run_config(tiny_config(), run, tmp_path).interpolate()
    assert config["paths"] == {"train": str(run.train), "dev": str(run.dev)}
    assert config["corpora"]["train"]["path"] == str(run.train)
    assert config["training"]["seed"] == 3
    assert config["components"]["relation_scorer"]["model"]["encode"]["depth"] == 2
    assert config["training"]["eval_frequency"] == 1
    assert config["training"]["patience"] == 1


def test_config_without_dev(tmp_path, data):
    run = make_run(data)
    config = run_config(tiny_config(), run, tmp_path).interpolate()
    assert config["paths"]["dev"] == str(tmp_path / ONE_TEXT)
    assert config["training"]["eval_frequency"] == sys.maxsize
    docs = list(DocBin().from_disk(tmp_path / ONE_TEXT).get_docs(Vocab()))
    first = next(DocBin().from_disk(run.train).get_docs(Vocab()))
    assert [(doc.text, relations_of(doc)) for doc in docs] == [(first.text, relations_of(first))]


def test_without_dev_nothing_is_scored_after_the_first_step(tmp_path, data):
    do(make_run(data), tmp_path)
    (evaluation,) = srsly.read_json(tmp_path / PROGRESS)["evaluations"]
    assert evaluation["step"] == 0
    assert not (tmp_path / ONE_TEXT).exists()


def test_config_without_a_section_for_paths(tmp_path, data):
    config = tiny_config()
    del config["paths"], config["corpora"]  # spaCy's defaults then
    assert do(make_run(data), tmp_path, config)["n_steps"] == 6


# Scores and models


def test_scores(tmp_path, data):
    run = make_run(data, seed=1, settings={"vars.ner_depth": 0})
    result = do(run, tmp_path)
    assert Run.from_dict({key: result[key] for key in run.to_dict()}) == run
    assert {"ents_micro_f", "rel_macro_f", "rel_per_type"} <= result["scores"]["all"].keys()
    assert result["n_test"] == {"all": 3, "without_repeats": 3}
    assert result["versions"]["torch"] == version("torch")
    assert result["machine"]["python"] == platform.python_version()
    assert list(result["scores"]) == ["all"]
    assert not (tmp_path / "model").exists()


def test_seeds_matter_and_repeat(tmp_path, data, capsys):
    def losses(seed):
        do(make_run(data, seed=seed, dev=data / "dev.spacy"), tmp_path)
        return [line for line in capsys.readouterr().out.splitlines() if "losses" in line]

    first = losses(0)
    assert len(first) > 1
    assert losses(0) == first
    assert losses(1) != first


def test_last_and_best(tmp_path, data):
    """The learn rate rises until all is lost: the last checkpoint is not the best."""
    config = tiny_config(training__max_epochs=12, training__patience=0, training__eval_frequency=3)
    rate = {"@schedules": "compounding.v1", "start": 0.02, "stop": 9.0, "compound": 1.15}
    config["training"]["optimizer"]["learn_rate"] = rate
    run = make_run(data, dev=data / "train.spacy", test=data / "train.spacy")
    last, best = (do(run, tmp_path / name, config, name, True) for name in ("last", "best"))
    for result, name in ((last, "last"), (best, "best")):
        nlp = spacy.load(tmp_path / name / "model" / f"model-{name}")
        scores = nlp.evaluate(list(Corpus(run.test)(nlp)))
        assert result["scores"]["all"]["ents_micro_f"] == scores["ents_micro_f"]
        assert result["scores"]["all"]["rel_micro_f"] == scores["rel_micro_f"]
    evaluations = srsly.read_json(tmp_path / "best" / PROGRESS)["evaluations"]
    assert evaluations[-1]["score"] < max(evaluation["score"] for evaluation in evaluations)
    assert last["scores"] != best["scores"]


@pytest.mark.parametrize("dev", [True, False])
def test_kept_models_can_be_trained_further(tmp_path, data, dev):
    config = tiny_config()
    do(make_run(data, dev=data / "dev.spacy" if dev else None), tmp_path, config, "last", True)
    kept = sorted(path.name for path in (tmp_path / "model").iterdir())
    assert kept == (["model-best", "model-last"] if dev else ["model-last"])
    for name in kept:
        assert spacy.load(tmp_path / "model" / name).pipe_names == config["nlp"]["pipeline"]
        path = tmp_path / "model" / name / "config.cfg"
        training = Config().from_disk(path)["training"]
        assert training["logger"] == config["training"]["logger"]
        assert training["eval_frequency"] == 1
        assert training["patience"] == 1
    if not dev:
        assert Config().from_disk(path)["paths"]["dev"] is None
    overrides = {"paths.dev": str(data / "dev.spacy"), "training.max_epochs": 1}
    spacy_train(path, tmp_path / "further", overrides=overrides)
    assert (tmp_path / "further" / "model-last" / "meta.json").is_file()


# Repeated texts


def examples(*texts):
    docs = map(spacy.blank("en").make_doc, texts)
    return [Example(doc.copy(), doc) for doc in docs]


def test_white_space_makes_no_other_text():
    train = examples("Ann left .", "Bo  left .", "Cy was here .")
    test = examples("Ann\nleft  .", "Ann left Oslo .", "Bo left.", "cy was here .")
    unseen = [example.reference.text.strip() for example in without_repeats(test, train)]
    assert unseen == ["Ann left Oslo .", "cy was here ."]


def test_repeats_are_scored_apart(tmp_path, data):
    mixed = tmp_path / "mixed.spacy"
    bins = [DocBin(store_user_data=True).from_disk(data / f"{n}.spacy") for n in ("test", "train")]
    bins[0].merge(bins[1])
    bins[0].to_disk(mixed)
    result = do(make_run(data, test=mixed), tmp_path)
    assert result["n_test"] == {"all": 3 + N_TRAIN, "without_repeats": 3}
    alone = do(make_run(data), tmp_path)
    assert result["scores"]["without_repeats"] == alone["scores"]["all"]
    assert result["scores"]["all"] != alone["scores"]["all"]


def test_repeats_are_scored_without_predictions_of_before(tmp_path, data, monkeypatch):
    """The pipeline would keep entities that are there already."""
    seen = []

    def spy(nlp, examples):
        seen.append(any(example.predicted.has_annotation("ENT_IOB") for example in examples))
        return evaluate(nlp, examples)

    monkeypatch.setattr(worker, "evaluate", spy)
    test_repeats_are_scored_apart(tmp_path, data)
    assert seen == [False] * 3


def test_only_repeats(tmp_path, data):
    result = do(make_run(data, test=data / "train.spacy"), tmp_path)
    assert result["n_test"] == {"all": N_TRAIN, "without_repeats": 0}
    assert list(result["scores"]) == ["all"]
