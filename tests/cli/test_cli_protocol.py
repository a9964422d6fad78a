"""The commands, with one real protocol; elsewhere nothing is trained."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import srsly
from protocols.tiny import tiny_config, write_sample
from spacy.tokens import DocBin
from typer.testing import CliRunner

from spacy_deeper.cli import app
from spacy_deeper.protocols import pool
from spacy_deeper.protocols.folder import RESULTS, claimed
from spacy_deeper.protocols.splits import join

FAKE = [sys.executable, "-S", str(Path(__file__).parents[1] / "protocols" / "fake_worker.py")]


def run(*args):
    return CliRunner().invoke(app, ["protocol", *map(str, args)])


def check_fails(result, code, *said):
    """See that it fails with one line, before any run was started."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.count("\n") == 1
    assert f"[{code}] " in result.stderr
    for text in said:
        assert str(text) in result.stderr
    assert started("out") == []


def started(output):
    return sorted(path.parent.name for path in Path(output).glob("runs/*/started"))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with a config and data; the file "with repeats" has texts of the training data."""
    folder = tmp_path_factory.mktemp("some inputs")
    tiny_config().to_disk(folder / "tiny.cfg")
    parts = {"train": 12, "dev": 3, "test": 3}
    paths = [write_sample(folder / f"{part}.spacy", part, n) for part, n in parts.items()]
    join(paths[1:], folder / "with repeats.spacy")
    return folder


@pytest.fixture
def here(inputs, tmp_path, monkeypatch):
    """A working folder with the inputs, and workers that train nothing."""
    shutil.copytree(inputs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pool, "WORKER", FAKE)
    monkeypatch.setattr(pool, "INTERVAL", 0.02)
    return tmp_path


SEEDS = ("seeds", "tiny.cfg", "out")
DATA = ("--train", "train.spacy", "--test", "test.spacy")
REAL = (
    *("seeds", "tiny.cfg", "my results", "--train", "train.spacy", "--train", "dev.spacy"),
    *("--test", "with repeats.spacy", "--seeds", 2, "-n", 2, "--keep-models"),
    *("--training.max_epochs", 1, "--training.batcher.size=5"),
)


# A real protocol


@pytest.fixture(scope="module")
def real(inputs):
    """The results file of two runs at a time, on joined data, from paths that are not absolute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(inputs)
        result = run(*REAL)
    assert result.exit_code == 0, result.output
    assert "2 runs are in my results/results.json" in result.stdout
    assert re.search(r"seeds-seed-0: entities .* relations .* min\n", result.output)
    assert re.search(r"\nSeeds +2( +[\d,.]+){2} ± ", result.stdout)
    return inputs / "my results" / RESULTS


def test_real_results(real):
    results = srsly.read_json(real)
    assert [(run["name"], run["seed"]) for run in results["runs"]] == [
        ("seeds-seed-0", 0),
        ("seeds-seed-1", 1),
    ]
    for result in results["runs"]:
        assert result["n_steps"] == 3  # fifteen texts, five at a time: the settings are there
        assert result["n_test"] == {"all": 6, "without_repeats": 3}
        assert list(result["scores"]) == ["all", "without_repeats"]
        assert result["n_parameters"] > 0
        assert result["seconds"] > 0
    assert str(real.parent.parent) not in real.read_text()


def test_one_at_a_time_scores_the_same(real, inputs, monkeypatch):
    monkeypatch.chdir(inputs)
    args = ["alone" if arg == "my results" else arg for arg in REAL]
    args[args.index("--seeds") + 1] = args[args.index("-n") + 1] = 1
    assert run(*args).exit_code == 0
    one, two = (srsly.read_json(path)["runs"][0] for path in (f"alone/{RESULTS}", real))
    assert one["scores"] == two["scores"]
    assert one["fingerprint"] == two["fingerprint"]


def test_a_second_call_starts_nothing(real, inputs, monkeypatch):
    monkeypatch.chdir(inputs)
    monkeypatch.setattr(pool, "WORKER", ["/no/such/program"])
    before = srsly.read_json(real)
    assert run(*REAL).exit_code == 0
    assert srsly.read_json(real) == before


def test_a_kept_pipeline_works_elsewhere(real):
    model = real.parent / "runs" / "seeds-seed-1" / "model" / "model-last"
    code = "import sys, spacy; print(spacy.load(sys.argv[1])('Ann left.')._.relations)"
    command = [sys.executable, "-c", code, str(model)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[")


# What the commands make


def names(output="out"):
    return [run["name"] for run in srsly.read_json(Path(output) / RESULTS)["runs"]]


def test_ablation(here):
    settings = ("--vars.re_depth", 2)
    assert run("ablation", "tiny.cfg", "out", *DATA, "--seeds", 2, *settings).exit_code == 0
    rows = ["baseline", "no-ner-specific-birnns", "no-re-specific-birnns"]
    rows.append("no-task-specific-birnns")
    assert names() == [f"{row}-seed-{seed}" for seed in (0, 1) for row in rows]
    results = srsly.read_json(f"out/{RESULTS}")
    assert results["protocol"] == "ablation"
    assert [run["row"] for run in results["runs"]][1] == "No NER-specific BiRNNs"
    assert [tuple(run["settings"].values()) for run in results["runs"]][:4] == [
        (1, 1, 2),
        (2, 0, 2),
        (3, 1, 0),
        (4, 0, 0),
    ]


def test_depths(here):
    depths = ("--shared", "1", "--ner", "0-1", "--re", "0,2", "--cells", "gru, lstm")
    assert run("depths", "tiny.cfg", "out", *DATA, *depths).exit_code == 0
    points = ["1-0-0", "1-0-2", "1-1-0", "1-1-2"]
    assert names() == [f"{cell}-{point}-seed-0" for cell in ("gru", "lstm") for point in points]


VARIANTS = ("variants", "tiny.cfg", "out", *DATA, "--variants", "rows.json")


def test_variants(here):
    rows = {
        "Ours": {},
        "No dropout": {"training.dropout": 0.0, "components.relation_scorer.model.head.dropout": 0},
        "An LSTM": {"vars.cell": "lstm"},
    }
    srsly.write_json("rows.json", rows)
    assert run(*VARIANTS, "--seeds", 2).exit_code == 0
    results = srsly.read_json(f"out/{RESULTS}")
    assert results["protocol"] == "variants"
    assert names() == [f"{r}-seed-{s}" for s in (0, 1) for r in ("ours", "no-dropout", "an-lstm")]
    for result in results["runs"]:
        assert result["settings"] == rows[result["row"]]


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (None, "D321", "No such file"),
        ("{", "D321", "broken JSON"),
        ("{}", "D321", "at least one"),
        ('{"Ours": 1}', "D345", "'Ours'"),
        ('{" ": {}}', "D345", "' '"),
        ('{"!": {}}', "D345", "'!'"),
        ('{"A b": {}, "a-B!": {}}', "D346", "'a-B!'"),
        ('{"Ours": {"training.droput": 0.1}}', "D322", "training.dropout"),
        ('{"Ours": {}, "No RNN": {"vars.cell": "rnn"}}', "D311", "[D203]"),
        ('{"Ours": {"training": {}}}', "D322", "'training'"),
    ],
)
def test_wrong_variants(here, content, code, said):
    if content is not None:
        Path("rows.json").write_text(content)
    check_fails(run(*VARIANTS), code, said)


FOLDS = ("folds", "tiny.cfg", "out", "--data", "train.spacy", "--data", "dev.spacy", "--folds", 3)


def test_folds(here):
    assert run(*FOLDS, "--dev-fraction", 0.2, "--seeds", 2).exit_code == 0
    assert names() == [f"fold-{k}-seed-{seed}" for seed in (0, 1) for k in range(3)]
    results = srsly.read_json(f"out/{RESULTS}")
    assert [results[key] for key in ("folds", "dev_fraction", "split_seed")] == [3, 0.2, 0]
    parts = srsly.read_json("out/data/folds.json")
    assert len(parts["dev"]) == 3
    for result in results["runs"]:
        n_test, n_train = (len(DocBin().from_disk(result[name])) for name in ("test", "train"))
        assert n_test == len(parts["folds"][int(result["name"][5])])
        assert n_test + n_train == 12


def test_other_folds_leave_the_old_ones_alone(here):
    assert run(*FOLDS).exit_code == 0
    before = Path("out/data/folds.json").read_bytes()
    (here / "out" / "runs" / "fold-0-seed-0" / "started").unlink()
    for options in (("--split-seed", 1), ("--dev-fraction", 0)):
        result = run(*FOLDS, *options)
        assert "[D309]" in result.stderr
    assert Path("out/data/folds.json").read_bytes() == before
    assert "[D309]" in run(*SEEDS, *DATA).stderr
    assert run(*FOLDS).exit_code == 0


def test_more_seeds_later(here):
    assert run(*SEEDS, *DATA, "--seeds", 1).exit_code == 0
    Path("out/runs/seeds-seed-0/started").unlink()
    assert run(*SEEDS, *DATA, "--seeds", 2, "--n-process", 9).exit_code == 0
    assert started("out") == ["seeds-seed-1"]
    assert names() == ["seeds-seed-0", "seeds-seed-1"]


def test_options_reach_the_runs(here):
    more = ("--dev", "dev.spacy", "--select", "best", "--keep-models", "--training.max_epochs", 9)
    assert run(*SEEDS, *DATA, "--seeds", 1, *more).exit_code == 0
    job = json.loads(Path("out/runs/seeds-seed-0/job.json").read_text())
    assert job["options"]["select"] == "best"
    assert job["options"]["keep_models"] is True
    assert "max_epochs = 9" in job["options"]["config"]
    assert job["run"]["dev"] == "dev.spacy"
    assert "[D300]" in run(*SEEDS, *DATA, "--seeds", 1, *more[:-1], 8).stderr


def test_failed_runs(here, monkeypatch):
    monkeypatch.setattr(pool, "WORKER", [sys.executable, "-S", "-c", "raise ValueError('[E1] x')"])
    check_fails(run(*SEEDS, *DATA, "--seeds", 2), "D302", "2 of 2", "log.txt: ValueError: [E1] x")


# What can be wrong


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("--select", "first"), "D108", "--select"),
        (("--select", "best"), "D305", "--dev"),
        (("--select", "best", "--dev", "dev.spacy", "--test", "dev.spacy"), "D305", "--dev"),
        (("--training.seed", 3), "D314", "--seeds"),
        (("--paths.train", "train.spacy"), "D314", "--train"),
        (("--gpu-id", 99), "D163", "99"),
        (("--dev", "no.spacy"), "D161", "no.spacy"),
        (("--train", "no.spacy"), "D161", "no.spacy"),
        (("--test", "no.spacy"), "D161", "no.spacy"),
        (("--test", "tiny.cfg"), "D161", "tiny.cfg"),
        (("--test", "."), "D161", "Is a directory"),
        (("--nlpp.lang", "en"), "D151", "nlpp"),
        (("--training.max_epoch", 3), "D156", "[training] max_epoch."),
        (("--vars.sel", "gru"), "D156", "[vars] sel."),
        (("--max_epochs", 3), "D312", "--max_epochs"),
        (("--n-proces", 2), "D312", "--n-proces"),
        (("more.spacy",), "D312", "more.spacy"),
        (("--training.max_epochs", "many"), "D311", "max_epochs"),
        (("--training.max_epochs", 0), "D301", "max_epochs"),
        (("--vars.cell", "rnn"), "D311", "[D203]"),
        (("--corpora.train.path", "dev.spacy"), "D308", "[corpora.train]"),
        (("--corpora.dev.path", "test.spacy"), "D308", "paths.dev"),
    ],
)
def test_wrong_options(here, args, code, said):
    check_fails(run(*SEEDS, *DATA, *args), code, said)


def test_no_folder_is_made_in_vain(here):
    check_fails(run(*SEEDS, "--train", "train.spacy", "--test", "no.spacy"), "D161")
    check_fails(run("seeds", "no.cfg", "out", *DATA), "D150", "no.cfg")
    check_fails(run("seeds", "train.txt", "out", *DATA), "D151", "train.txt")
    check_fails(run(*SEEDS, *DATA, "--max_epochs", 1), "D312")
    check_fails(run(*FOLDS, "--folds", 99), "D307", "99 parts")
    check_fails(run(*FOLDS, "--data", "no.spacy"), "D161", "no.spacy")
    assert not Path("out").exists()


def test_data_without_docs(here):
    DocBin().to_disk("empty.spacy")
    for option in ("--train", "--test", "--dev"):
        check_fails(run(*SEEDS, *DATA, option, "empty.spacy"), "D161", "no documents")
    check_fails(run(*FOLDS, "--data", "empty.spacy"), "D161", "no documents")


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("--ner", "a"), "D306", "--ner"),
        (("--ner", "3-1"), "D306", "3-1"),
        (("--re", "-1"), "D306", "--re"),
        (("--shared", "1-2-3"), "D306", "--shared"),
        (("--shared", ""), "D306", "--shared"),
        (("--shared", "0-1"), "D306", "At least one"),
        (("--cells", "gru,rnn"), "D108", "'rnn'"),
    ],
)
def test_wrong_depths(here, args, code, said):
    check_fails(run("depths", "tiny.cfg", "out", *DATA, *args), code, said)


def test_configs_that_can_not_be_varied(here):
    check_fails(run("ablation", "tiny.cfg", "out", *DATA, "--vars.re_depth", 0), "D304")
    text = Path("tiny.cfg").read_text()
    Path("fixed.cfg").write_text(text.replace("depth = ${vars.re_depth}", "depth = 1"))
    for command in ("ablation", "depths"):
        check_fails(run(command, "fixed.cfg", "out", *DATA), "D303", "re_depth")


def test_a_folder_that_can_not_be_used(here):
    Path("file").touch()
    check_fails(run("seeds", "tiny.cfg", "file/out", *DATA), "D106", "file/out")
    with claimed(Path("out"), {}):
        check_fails(run(*SEEDS, *DATA), "D310", "out")
    Path("out", RESULTS).write_text('["of something else"]')
    check_fails(run(*SEEDS, *DATA), "D309")
    assert Path("out", RESULTS).read_text() == '["of something else"]'
