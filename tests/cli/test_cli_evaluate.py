import json
import os
import subprocess
import sys

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from typer.testing import CliRunner

from spacy_deeper.cli import app
from spacy_deeper.relations import set_relations
from spacy_deeper.training.convert import convert

MARKUP = """[Ann](Per) left [Oslo](Loc).
  Ann --Left--> Oslo

[Bo](Per) left [Rome](Loc).
  Rome --Of--> Bo
"""
TEXTS = "Ann left Oslo.\n\n  Nothing here.\nJust Ann.\n"


class RelationsByRule:
    """Relates the first two entities, with a score of 0.6."""

    threshold = 0.5

    def __call__(self, doc):
        head_and_tail = doc.ents[:2] if self.threshold <= 0.6 else ()
        set_relations(doc, [(*head_and_tail, "Left", 0.6)] if len(head_and_tail) == 2 else [])
        return doc


@Language.factory("test_relations_by_rule")
def make_relations_by_rule(nlp, name):
    return RelationsByRule()


def make_pipeline(path, relation_scorer=True):
    nlp = spacy.blank("en")
    patterns = [("Per", "Ann"), ("Per", "Bo"), ("Loc", "Oslo")]
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": label, "pattern": text} for label, text in patterns])
    if relation_scorer:
        nlp.add_pipe("test_relations_by_rule", name="relation_scorer")
    nlp.to_disk(path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_pipeline(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "a.txt").write_text(MARKUP)
    return convert(folder / "a.txt", folder).path


def run(*args, **kwargs):
    return CliRunner().invoke(app, [str(arg) for arg in args], **kwargs)


def check_fails(result, code, *said):
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert f"[{code}] " in result.stderr
    for text in said:
        assert str(text) in result.stderr


def rows(text):
    return [line.split() for line in text.splitlines()]


def test_evaluate(tmp_path, model, data):
    path = tmp_path / "new" / "metrics.json"
    result = run("evaluate", model, data, "--output", path)
    assert result.exit_code == 0, result.stderr
    table = rows(result.stdout)
    both = ["P", "R", "F", "boundaries", "P", "R", "F"]
    entities = table[table.index(["Entities", *both]) :][2:6]
    assert entities == [
        ["Loc", "100.0", "50.0", "66.7", "100.0", "50.0", "66.7"],
        ["Per", "100.0", "100.0", "100.0", "100.0", "100.0", "100.0"],
        ["micro", "100.0", "75.0", "85.7", "100.0", "75.0", "85.7"],
        ["macro", "100.0", "75.0", "83.3", "100.0", "75.0", "83.3"],
    ]
    relations = table[table.index(["Relations", "end", "to", "end", *both]) :][2:6]
    assert relations == [
        ["Left", "100.0", "100.0", "100.0", "100.0", "100.0", "100.0"],
        ["Of", "0.0", "0.0", "0.0", "0.0", "0.0", "0.0"],
        ["micro", "100.0", "50.0", "66.7", "100.0", "50.0", "66.7"],
        ["macro", "50.0", "50.0", "50.0", "50.0", "50.0", "50.0"],
    ]
    # With Rome as an entity, the rule relates Bo and Rome, but wrongly.
    on_gold = table[table.index(["Relations", "on", "gold", "entities", "P", "R", "F"]) :][2:6]
    assert on_gold == [
        ["Left", "50.0", "100.0", "66.7"],
        ["Of", "0.0", "0.0", "0.0"],
        ["micro", "50.0", "50.0", "50.0"],
        ["macro", "25.0", "50.0", "33.3"],
    ]
    start = next(i for i, row in enumerate(table) if row[:2] == ["Relation", "errors"])
    assert table[start + 2 : start + 9] == [
        ["entity", "missed", "1", "0", "0", "0"],
        ["entity", "mis-typed", "0", "0", "0", "0"],
        ["wrong", "direction", "0", "0", "0", "0"],
        ["wrong", "label", "0", "0", "1", "1"],
        ["pair", "missed", "0", "0", "0", "0"],
        ["pair", "invented", "0", "0", "0", "0"],
        ["total", "1", "0", "1", "1"],
    ]
    scores = json.loads(path.read_text())
    assert scores["ents_micro_r"] == 0.75
    assert scores["rel_macro_f"] == 0.5
    assert scores["rel_per_type"]["Left"] == {"p": 1.0, "r": 1.0, "f": 1.0}
    assert scores["ents_boundaries_macro_r"] == scores["rel_boundaries_micro_r"] + 0.25 == 0.75
    assert scores["rel_gold_micro_f"] == 0.5
    assert (
        scores["rel_errors"]["fn"] | {"entity_missed": 1, "total": 1} == scores["rel_errors"]["fn"]
    )
    assert scores["rel_gold_entities"] == {
        "total": 4,
        "lost": 0,
        "cuts_token": 0,
        "overlaps": 0,
        "no_type": 0,
    }
    assert [p.name for p in path.parent.iterdir()] == ["metrics.json"]


def test_threshold(tmp_path, model, data):
    path = tmp_path / "metrics.json"
    for threshold, recall in [(0.6, 0.5), (0.7, 0.0)]:
        assert run("evaluate", model, data, "-o", path, "--threshold", threshold).exit_code == 0
        assert json.loads(path.read_text())["rel_micro_r"] == recall
    assert run("evaluate", model, data, "--threshold", 1.5).exit_code == 2


def test_without_a_relation_scorer(tmp_path, data):
    path, output = make_pipeline(tmp_path / "model", relation_scorer=False), tmp_path / "a.json"
    result = run("evaluate", path, data, "--output", output)
    assert result.exit_code == 0, result.stderr
    assert "on gold" not in result.stdout
    scores = json.loads(output.read_text())
    assert scores["rel_errors"]["fn"]["total"] == 2
    assert not any(name.startswith("rel_gold") for name in scores)


def test_lost_entities_are_told(tmp_path, model):
    nlp = spacy.blank("en")
    gold = Doc(nlp.vocab, words=["An", "n", "left"], spaces=[False, True, False])
    gold.ents = [Span(gold, 0, 1, "Per")]
    DocBin(docs=[gold]).to_disk(tmp_path / "a.spacy")
    result = run("evaluate", model, tmp_path / "a.spacy")
    assert result.exit_code == 0, result.stderr
    said = " ".join(result.stdout.split())
    assert "1 of 1 gold entities are lost there: 1 begin or end within a token" in said


def test_threshold_of_nothing(tmp_path, data):
    path = make_pipeline(tmp_path / "model", relation_scorer=False)
    check_fails(run("evaluate", path, data, "--threshold", 0.5), "D162", "entity_ruler")


def test_bad_gpu(model, data):
    check_fails(run("evaluate", model, data, "--gpu-id", 99), "D163", 99)


def test_data_to_convert_first(tmp_path, model):
    text = tmp_path / "dev.txt"
    text.write_text("Ann left.\n")
    check_fails(run("evaluate", model, text), "D161", "relations convert")


def test_bad_model(tmp_path, model, data):
    check_fails(run("evaluate", "no_such_model", data), "D160", "no_such_model")
    check_fails(run("evaluate", tmp_path, data), "D160", tmp_path)
    broken = make_pipeline(tmp_path / "broken")
    (broken / "config.cfg").write_text("[nlp")
    check_fails(run("evaluate", broken, data), "D160", broken)


@pytest.mark.parametrize("content", [None, b"", b"no data", "no docs"])
def test_bad_data(tmp_path, model, content):
    path = tmp_path / "a.spacy"
    if content == "no docs":
        DocBin().to_disk(path)
    elif content is not None:
        path.write_bytes(content)
    output = tmp_path / "metrics.json"
    check_fails(run("evaluate", model, path, "--output", output), "D161", path)
    assert not output.exists()


def test_folder_without_data(tmp_path, model):
    check_fails(run("evaluate", model, tmp_path), "D161", tmp_path)


def check_shown(result):
    assert result.exit_code == 0, result.stderr
    table = rows(result.stdout)
    first, second, third = (
        table.index(text.split()) for text in ("Ann left Oslo.", "Nothing here.", "Just Ann.")
    )
    assert ["Ann", "Per"] in table[first:second]
    assert ["Oslo", "Loc"] in table[first:second]
    assert ["Ann", "--Left-->", "Oslo", "0.60"] in table[first:second]
    assert ["No", "entities"] in table[second:third]
    assert ["No", "relations"] in table[second:third]
    assert ["Ann", "Per"] in table[third:]
    assert ["No", "relations"] in table[third:]


def test_show(tmp_path, model):
    path = tmp_path / "texts.txt"
    path.write_text(TEXTS)
    check_shown(run("show", model, path))
    check_shown(run("show", model, "-", input=TEXTS))
    check_shown(run("show", model, TEXTS))


def test_show_bad_input(tmp_path, model):
    check_fails(run("show", model, "none.txt"), "D164", "none.txt")
    check_fails(run("show", "no_such_model", "Ann left."), "D160", "no_such_model")
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xe9")
    check_fails(run("show", model, path), "D103", path)
    check_fails(run("show", model, "-", input=b"\xe9"), "D103", "stdin")


def test_show_bad_input_in_a_locale_that_hides_it(model):
    command = [sys.executable, "-m", "spacy", "relations", "show", str(model), "-"]
    env = {**os.environ, "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
    done = subprocess.run(command, input=b"\xff Ann left.\n", capture_output=True, env=env)
    assert done.returncode == 1
    assert b"[D103]" in done.stderr
    assert b"Traceback" not in done.stderr
