"""`relations evaluate` with what needs a trained relation_scorer: sweep, picture, tuning."""

import json
import sys

import pytest
import spacy
from spacy.tokens import DocBin
from typer.testing import CliRunner

from spacy_deeper.cli import app


@pytest.fixture(scope="module")
def data(docs, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "dev.spacy"
    DocBin(docs=docs, store_user_data=True).to_disk(path)
    return path


@pytest.fixture(scope="module")
def model(trained_path, tmp_path_factory):
    """The trained pipeline with a threshold that is too high for one label, and of which another
    one is above all scores."""
    nlp = spacy.load(trained_path)
    scorer = nlp.get_pipe("relation_scorer")
    scorer.threshold = 0.99999
    scorer.label_thresholds = {scorer.labels[0]: 1.0}
    path = tmp_path_factory.mktemp("model")
    nlp.to_disk(path)
    return path


def run(*args):
    return CliRunner().invoke(app, ["evaluate", *map(str, args)])


def scores_of(path, *args):
    result = run(*args, "--output", path)
    assert result.exit_code == 0, result.stderr
    return json.loads(path.read_text())


def check_fails(result, code, *said):
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.count("\n") == 1
    assert f"[{code}] " in result.stderr
    for text in said:
        assert str(text) in result.stderr


def test_sweep(model, data, tmp_path):
    result = run(model, data, "--sweep", "--output", tmp_path / "a.json")
    assert result.exit_code == 0, result.stderr
    scores = json.loads((tmp_path / "a.json").read_text())
    points, best = scores["rel_sweep"]["points"], scores["rel_sweep"]["best"]
    assert len(points) == 100
    assert best["micro_f"] == max(point["micro_f"] for point in points) > scores["rel_micro_f"]
    said = " ".join(result.stdout.split())
    assert f"The best threshold is {best['threshold']:.2f}, with" in said
    table = [line.split() for line in result.stdout.splitlines()]
    (row,) = [row for row in table if row[-1:] == ["best"]]
    assert row[0] == f"{best['threshold']:.2f}"
    assert row[3] == f"{best['micro_f'] * 100:.1f}"
    # A threshold that is given is that of all labels: the same as in the sweep.
    at = next(point for point in points if point["threshold"] == 0.5)
    again = scores_of(tmp_path / "b.json", model, data, "--threshold", 0.5)
    assert again["rel_per_type"] == at["per_type"]
    assert "rel_sweep" not in again


def test_threshold_of_the_tagger(model, data, tmp_path):
    nlp = spacy.load(model)
    nlp.get_pipe("crf_ner").threshold = 1
    nlp.to_disk(tmp_path / "none")
    best = scores_of(tmp_path / "a.json", model, data)
    likely = scores_of(tmp_path / "b.json", model, data, "--ner-threshold", 0.9)
    assert 0 < likely["ents_micro_r"] <= best["ents_micro_r"]
    assert scores_of(tmp_path / "c.json", model, data, "--ner-threshold", 1)["ents_micro_r"] == 0
    assert scores_of(tmp_path / "d.json", tmp_path / "none", data)["ents_micro_r"] == 0
    again = scores_of(tmp_path / "e.json", tmp_path / "none", data, "--ner-threshold", 0)
    assert again == best
    check_fails(run(model, data, "--ner-threshold", 0.3), "D281", "crf_ner", "0.3")
    assert run(model, data, "--ner-threshold", 1.1).exit_code == 2


def test_tune(model, data, tmp_path):
    tuned = tmp_path / "new" / "tuned"
    scores = scores_of(tmp_path / "a.json", model, data, "--tune", tuned)
    assert scores["rel_tuned"]["rel_micro_f"] > scores["rel_micro_f"]
    assert [path.name for path in tuned.parent.iterdir()] == ["tuned"]
    # The saved pipeline has them, and the scores that were promised.
    scorer = spacy.load(tuned).get_pipe("relation_scorer")
    assert scorer.label_thresholds == pytest.approx(scores["rel_tuned"]["label_thresholds"])
    assert set(scorer.label_thresholds) == set(scorer.labels)
    assert scorer.threshold == 0.99999
    again = scores_of(tmp_path / "b.json", tuned, data)
    for key, value in scores["rel_tuned"].items():
        if key.startswith("rel_"):
            assert again[key] == value
    # What was tuned stays as it was.
    before = spacy.load(model).get_pipe("relation_scorer")
    assert before.label_thresholds == {before.labels[0]: 1.0}


def test_labels_without_support_fall_back(model, docs, tmp_path):
    doc = next(doc for doc in docs if len(doc._.relations) > 0)
    DocBin(docs=[doc], store_user_data=True).to_disk(tmp_path / "one.spacy")
    args = model, tmp_path / "one.spacy", "--threshold", 0.6, "--tune", tmp_path / "tuned"
    result = run(*args)
    assert result.exit_code == 0, result.stderr
    scorer = spacy.load(tmp_path / "tuned").get_pipe("relation_scorer")
    assert set(scorer.label_thresholds) == {relation.label for relation in doc._.relations}
    assert scorer.threshold == pytest.approx(0.6)
    rows = [line.split() for line in result.stdout.splitlines()]
    for label in set(scorer.labels) - set(scorer.label_thresholds):
        assert [label, "0.6", "(common)"] in [row[:3] for row in rows]


def test_tune_does_not_overwrite(model, data, tmp_path):
    for path in (model, data):
        check_fails(run(model, data, "--tune", path), "D181", path)
    check_fails(run(model, data, "--tune", data / "below"), "D106", data)
    # An empty folder holds nothing to lose.
    assert run(model, data, "--tune", tmp_path).exit_code == 0
    assert (tmp_path / "meta.json").is_file()


@pytest.mark.parametrize("option", [["--sweep"], ["--plot", "a.png"], ["--tune", "new"]])
def test_options_need_the_component(data, tmp_path, monkeypatch, option):
    if option[0] == "--plot":
        pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    nlp = spacy.blank("en")
    nlp.to_disk(tmp_path / "model")
    check_fails(run(tmp_path / "model", data, *option), "D162", option[0], "relation_scorer")
    check_fails(run(tmp_path / "model", data, "--ner-threshold", 0.5), "D162", "crf_ner")
    nlp.add_pipe("sentencizer", name="relation_scorer")
    nlp.to_disk(tmp_path / "model")
    check_fails(run(tmp_path / "model", data, *option), "D180", option[0], "Sentencizer")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_plot_without_matplotlib(model, data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.backends.backend_agg", raising=False)
    path = tmp_path / "a.png"
    check_fails(run(model, data, "--plot", path), "D182", "spacy-deeper[plots]")
    assert not path.exists()


def test_plot(model, data, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra 'plots'")
    for name, start in (("a.png", b"\x89PNG"), ("new/a.SVG", b"<?xml"), ("a.pdf", b"%PDF")):
        result = run(model, data, "--plot", tmp_path / name)
        assert result.exit_code == 0, result.stderr
        assert (tmp_path / name).read_bytes().startswith(start)
    for name in ("a.txt", "a"):
        check_fails(run(model, data, "--plot", tmp_path / name), "D183", name, ".png")
