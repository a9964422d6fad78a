"""The search: a real one that is tiny, and what it does with trainings that are made up."""

import json
import os
import sys
from itertools import product
from pathlib import Path
from threading import Timer

import optuna
import pytest
from optuna.trial import TrialState
from thinc.api import Config
from typer.testing import CliRunner

from spacy_deeper.cli import app
from spacy_deeper.cli.merge_config import merge_configs
from spacy_deeper.layers.torch_layer import check_width
from spacy_deeper.protocols import pool
from spacy_deeper.protocols import search as module
from spacy_deeper.protocols.search import Search
from spacy_deeper.protocols.settings import overlay
from spacy_deeper.protocols.space import config_as_point, read_space

ROOT = Path(__file__).parents[2]
SMALL = """
[vars]
width = 16
ner_depth = 0

[components.tok2vec.model.embed]
contextual = null

[components.relation_scorer]
threshold = 0.5

[training]
max_epochs = 0
max_steps = 4

[training.optimizer.learn_rate]
@schedules = "warmup_linear.v1"
warmup_steps = 0
total_steps = 4
initial_rate = 0.01
"""
SPACE = {
    "vars.re_depth": {"type": "int", "low": 0, "high": 1},
    "training.optimizer.learn_rate.initial_rate": {
        "type": "float",
        "low": 0.001,
        "high": 0.1,
        "log": True,
    },
}
X = {"vars.x": {"type": "float", "low": 0.0, "high": 1.0}}


@pytest.fixture
def files(tmp_path):
    """Write a config, a space and data, and return the command's arguments."""
    (tmp_path / "small.cfg").write_text(SMALL)
    config = merge_configs(ROOT / "configs" / "base.cfg", tmp_path / "small.cfg")
    (tmp_path / "config.cfg").write_text(config.to_str(interpolate=False))
    (tmp_path / "space.json").write_text(json.dumps(SPACE))
    text = (ROOT / "assets" / "sample" / "dev.txt").read_text("utf-8")
    (tmp_path / "data.txt").write_text("\n\n".join(text.split("\n\n")[:12]) + "\n", "utf-8")
    data = tmp_path / "data.spacy"
    converted = CliRunner().invoke(app, ["convert", str(tmp_path / "data.txt"), str(data)])
    assert converted.exit_code == 0, converted.output
    return [
        *("protocol", "search", tmp_path / "config.cfg", tmp_path / "out"),
        *("--train", data, "--dev", data, "--space", tmp_path / "space.json"),
    ]


def command(files, *more):
    return CliRunner().invoke(app, [str(arg) for arg in (*files, *more)])


def test_search(files, tmp_path):
    """It trains, says what was best, goes on where it was, and stops when all is done."""
    out = tmp_path / "out"
    runs = [command(files, "--trials", 1), command(files, "--trials", 2, "--evaluations", 10)]
    for run in runs:
        assert run.exit_code == 0, run.output
    results = json.loads((out / "results.json").read_text())
    assert [trial["state"] for trial in results["trials"]] == ["complete", "complete"]
    first, second = results["trials"]
    # The first is the config as it is.
    settings = {"vars.re_depth": 1, "training.optimizer.learn_rate.initial_rate": 0.01}
    assert first["settings"] == settings != second["settings"]
    assert len(first["intermediate"]) == 4  # one after each step
    assert results["best"]["score"] == max(first["value"], second["value"])
    assert results["versions"]["optuna"] == optuna.__version__
    assert f"merge-config {tmp_path / 'config.cfg'} {out / 'best.cfg'} final.cfg" in runs[1].stdout
    final = merge_configs(tmp_path / "config.cfg", out / "best.cfg")
    assert final["vars"]["re_depth"] == results["best"]["settings"]["vars.re_depth"]
    rate = final["training"]["optimizer"]["learn_rate"]
    assert rate["total_steps"] == 4
    key = "training.optimizer.learn_rate.initial_rate"
    assert rate["initial_rate"] == results["best"]["settings"][key]
    before = [path.stat().st_mtime_ns for path in sorted(out.glob("runs/*"))]
    assert command(files, "--trials", 2).exit_code == 0
    assert [path.stat().st_mtime_ns for path in sorted(out.glob("runs/*"))] == before
    assert json.loads((out / "results.json").read_text()) == results


class Trainings:
    """Stand in for `execute`: the score of a training is its x, and each third of it on the way."""

    def __init__(self):
        self.runs = []
        self.steps = 0
        self.fail = False

    def __call__(self, run, folder, options, n_process, on_progress, stop):
        self.runs.append(run)
        if self.fail:
            raise RuntimeError("out of memory")
        score = {"ents_micro_f": run.settings["vars.x"], "rel_micro_f": run.settings["vars.x"]}
        evaluations = [{"scores": dict.fromkeys(score, 0.0)}]
        for step in range(1, options["evaluations"]):
            evaluations.append({"scores": score})
            self.steps += 1
            progress = {"step": step, "n_steps": options["evaluations"]}
            on_progress({**progress, "evaluations": evaluations})
        return {"scores": {"all": score}}


@pytest.fixture
def trainings(monkeypatch):
    made = Trainings()
    monkeypatch.setattr(module, "execute", made)
    return made


@pytest.fixture
def make(tmp_path):
    """Return a function that makes a search over the one setting x."""
    data = tmp_path / "data.spacy"
    data.write_bytes(b"data")

    def make(space=X, **settings):
        settings = {"metric": ["ents_micro_f", "rel_micro_f"], "seed": 1, **settings}
        return Search(space, data, data, tmp_path / "out", {"evaluations": 4}, **settings)

    return make


def drawn(results):
    return [trial["settings"]["vars.x"] for trial in results["trials"]]


@pytest.mark.parametrize("n_process", [1, 3])
def test_budget_counts_in_all(make, trainings, n_process):
    make(n_process=n_process).run(4)
    assert len(trainings.runs) == 4
    results = make(n_process=n_process).run(6)
    assert len(trainings.runs) == 6
    # A search that goes on does not draw again what it began with.
    assert len(set(drawn(results))) == 6
    assert results["best"]["score"] == max(drawn(results))
    make().run(6)
    assert len(trainings.runs) == 6


def test_no_trial_after_the_time(make, trainings):
    results = make().run(5, minutes=0)
    assert trainings.runs == results["trials"] == []
    assert results["best"] is None


def test_repeats_with_a_seed(make, trainings, tmp_path):
    found = []
    for _ in range(2):
        found.append(drawn(make().run(3)))
        (tmp_path / "out" / "search.db").unlink()
    assert found[0] == found[1]
    assert drawn(make(seed=2).run(3)) != found[0]


def test_importances(make, trainings):
    space = {**X, "vars.y": {"type": "int", "low": 0, "high": 9}}
    assert make(space).run(3)["importances"] is None
    importances = make(space).run(25)["importances"]
    assert importances["vars.x"] > importances["vars.y"]


def test_prunes_what_falls_behind(make, trainings):
    search = make(seeds=2, first={"vars.x": 0.5})
    # Five trials are complete before any is given up on.
    for x in (0.6, 0.7, 0.8, 0.9, 0.1, 0.95):
        search.study.enqueue_trial({"vars.x": x})
    results = search.run(7)
    states = [trial["state"] for trial in results["trials"]]
    assert states == ["complete"] * 5 + ["pruned", "complete"]
    assert results["trials"][5]["intermediate"] == [0.1]
    assert results["trials"][5]["value"] is None
    # Two seeds of 3 looks each, but for the one that was given up on at the first.
    assert trainings.steps == 6 * 2 * 3 + 1
    assert [run.seed for run in trainings.runs] == [0, 1] * 5 + [0] + [0, 1]
    assert len({run.name for run in trainings.runs}) == len(trainings.runs)


def test_trials_of_a_killed_search_do_not_count(make, trainings):
    search = make()
    search.run(1)
    stale = search.study.ask(search.distributions)
    results = make().run(2)
    assert [trial["state"] for trial in results["trials"]] == ["complete", "failed", "complete"]
    assert results["trials"][stale.number]["value"] is None
    assert len(trainings.runs) == 2


def test_failures(make, trainings, tmp_path):
    trainings.fail = True
    with pytest.raises(ValueError, match=r"D325.* 1 failed .*trial-0-seed-0.*out of memory"):
        make().run(5)  # and does not try the others
    trainings.fail = False
    make().run(2)
    trainings.fail = True
    with pytest.raises(ValueError, match=r"D325.* 3 failed"):
        make().run(5)
    states = [t["state"] for t in json.loads((tmp_path / "out/results.json").read_text())["trials"]]
    assert states == ["failed", "complete", "complete", "failed", "failed", "failed"]


def test_a_bug_stops_the_search(make, monkeypatch):
    def broken(*args):
        raise KeyError("bug")

    monkeypatch.setattr(module, "execute", broken)
    search = make(n_process=2)
    with pytest.raises(KeyError):
        search.run(50)
    assert len(search.study.trials) <= 4
    assert not search.study.get_trials(states=(TrialState.RUNNING,))


def test_refuses_another_search(make, trainings, tmp_path):
    make().run(1)
    for settings in ({"metric": ["rel_macro_f"]}, {"seeds": 2}, {"space": SPACE}):
        with pytest.raises(ValueError, match="D324"):
            make(**settings)
    make(n_process=2, seed=5)
    (tmp_path / "data.spacy").write_bytes(b"other data")
    with pytest.raises(ValueError, match="D324"):
        make()
    (tmp_path / "out" / "search.db").write_bytes(b"no database, but long enough for one" * 99)
    with pytest.raises(ValueError, match="D326"):
        make()


@pytest.fixture
def endless(monkeypatch, tmp_path):
    """Put processes that score once and never end in the place of workers; return their ids."""
    evaluations = [{"scores": {"ents_micro_f": 0.1, "rel_micro_f": 0.1}}] * 2
    progress = json.dumps({"step": 1, "n_steps": 9, "evaluations": evaluations})
    script = tmp_path / "worker"
    script.write_text(
        f"#!/bin/sh\necho $$ >> '{tmp_path}/ids'\n"
        f'echo \'{progress}\' > "$1/progress.new"\nmv "$1/progress.new" "$1/progress.json"\n'
        "exec sleep 600\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(pool, "WORKER", [str(script)])
    return lambda: [int(number) for number in (tmp_path / "ids").read_text().split()]


def alive(process_id):
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def test_pruned_trials_are_killed(make, endless):
    search = make()
    search.study.pruner = optuna.pruners.ThresholdPruner(lower=0.5)
    results = search.run(2)
    assert [trial["state"] for trial in results["trials"]] == ["pruned", "pruned"]
    assert len(endless()) == 2
    assert not any(map(alive, endless()))


def test_stopped_trials_are_killed(make, endless):
    search = make(n_process=2)
    stop = Timer(1.5, search.stop.set)
    stop.start()
    results = search.run(5)
    stop.join()
    assert [trial["state"] for trial in results["trials"]] == ["failed", "failed"]
    assert not any(map(alive, endless()))


@pytest.mark.parametrize(
    ("space", "code", "said"),
    [
        (None, "D321", "No such file"),
        ("{", "D321", "broken JSON"),
        ("[]", "D321", "object"),
        ({}, "D321", "at least one"),
        ({"vars.re_depht": {"type": "int", "low": 0, "high": 1}}, "D322", "be vars.re_depth?"),
        ({"training.optimizer": {"type": "int", "low": 0, "high": 1}}, "D322", "no setting"),
        ({"vars.re_depth": 3}, "D323", "'type'"),
        ({"vars.re_depth": {"type": "integer"}}, "D323", "'type'"),
        ({"vars.re_depth": {"type": "int", "low": 0}}, "D323", "'high' is missing"),
        ({"vars.re_depth": {"type": "int", "low": 0, "high": 1, "lg": 1}}, "D323", "key 'lg'"),
        ({"vars.re_depth": {"type": "int", "low": 0, "high": 1.5}}, "D323", "an integer"),
        ({"vars.re_depth": {"type": "int", "low": True, "high": 2}}, "D323", "an integer"),
        ({"vars.re_depth": {"type": "int", "low": 2, "high": 1}}, "D323", "vars.re_depth"),
        ({"training.dropout": {"type": "float", "low": "0", "high": 1}}, "D323", "a number"),
        (
            {"training.dropout": {"type": "float", "low": 0, "high": 1, "log": True}},
            "D323",
            "training.dropout",
        ),
        (
            {"training.dropout": {"type": "float", "low": 0.1, "high": 1, "log": 1}},
            "D323",
            "true or false",
        ),
        ({"vars.cell": {"type": "categorical", "choices": []}}, "D323", "not empty"),
        ({"vars.cell": {"type": "categorical", "choices": [["gru"]]}}, "D323", "a text"),
    ],
)
def test_bad_spaces(tmp_path, space, code, said):
    path = tmp_path / "space.json"
    if space is not None:
        path.write_text(space if isinstance(space, str) else json.dumps(space))
    config = Config().from_disk(ROOT / "configs" / "base.cfg", interpolate=False)
    with pytest.raises(ValueError, match=rf"\[{code}\] .*space.json.*") as error:
        read_space(path, config)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("space", "overlays"),
    [
        ("search", ["sample"]),
        ("search", ["conll04"]),
        ("search", ["ade"]),
        ("search_best", ["conll04", "conll04_best"]),
        ("search_finetune", ["conll04", "conll04_best", "conll04_finetune"]),
    ],
)
def test_the_spaces_that_come_with_the_configs(space, overlays):
    """The first trial is the config as it is, and all widths have shares for their members."""
    paths = [ROOT / "configs" / f"{name}.cfg" for name in ("base", *overlays)]
    config = merge_configs(*paths)
    entries = read_space(ROOT / "configs" / f"{space}.json", config)
    assert config_as_point(config, entries) is not None
    for members, width in product(*(choices(entries, f"vars.{x}") for x in ("members", "width"))):
        if width is not None:
            check_width("BiRNN", width, members or config["vars"]["members"])


def choices(entries, key):
    return entries[key]["choices"] if key in entries else [None]


def test_overlay_is_a_config_to_merge(tmp_path):
    settings = {"vars.width": 128, "vars.cell": "lstm", "components.crf_ner.model.hidden_size": 32}
    settings |= {"training.dropout": 0.25, "training.optimizer.learn_rate.initial_rate": 0.5}
    (tmp_path / "best.cfg").write_text(overlay(settings))
    configs = [ROOT / "configs" / name for name in ("base.cfg", "conll04.cfg")]
    config = merge_configs(*configs, tmp_path / "best.cfg").interpolate()
    assert config["training"]["dropout"] == 0.25
    rate = config["training"]["optimizer"]["learn_rate"]
    assert (rate["@schedules"], rate["initial_rate"]) == ("warmup_linear.v1", 0.5)
    assert config["components"]["crf_ner"]["model"]["hidden_size"] == 32
    encode = config["components"]["tok2vec"]["model"]["encode"]
    assert (encode["width"], encode["cell"], encode["depth"]) == (128, "lstm", 1)


def test_errors_of_the_command(files, tmp_path, monkeypatch):
    result = command(files, "--metric", "ents_f")
    assert result.exit_code == 1
    assert "[D327]" in result.stderr
    (tmp_path / "space.json").write_text('{"vars.depth": 1}')
    result = command(files)
    assert result.exit_code == 1
    assert "[D322]" in result.stderr
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "spacy_deeper.protocols.search")
    result = command(files)
    assert result.exit_code == 1
    assert "[D320]" in result.stderr
    assert "pip install" in result.stderr
    assert not (tmp_path / "out").exists()
