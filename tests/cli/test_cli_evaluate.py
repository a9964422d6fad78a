import json

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import DocBin
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
    entities = table[table.index(["Entities", "P", "R", "F"]) :][2:6]
    assert entities == [
        ["Loc", "100.0", "50.0", "66.7"],
        ["Per", "100.0", "100.0", "100.0"],
        ["micro", "100.0", "75.0", "85.7"],
        ["macro", "100.0", "75.0", "83.3"],
    ]
    relations = table[table.index(["Relations", "P", "R", "F"]) :][2:6]
    assert relations == [
        ["Left", "100.0", "100.0", "100.0"],
        ["Of", "0.0", "0.0", "0.0"],
        ["micro", "100.0", "50.0", "66.7"],
        ["macro", "50.0", "50.0", "50.0"],
    ]
    scores = json.loads(path.read_text())
    assert scores["ents_micro_r"] == 0.75
    assert scores["rel_macro_f"] == 0.5
    assert scores["rel_per_type"]["Left"] == {"p": 1.0, "r": 1.0, "f": 1.0}
    assert [p.name for p in path.parent.iterdir()] == ["metrics.json"]


def test_threshold(tmp_path, model, data):
    path = tmp_path / "metrics.json"
    for threshold, recall in [(0.6, 0.5), (0.7, 0.0)]:
        assert run("evaluate", model, data, "-o", path, "--threshold", threshold).exit_code == 0
        assert json.loads(path.read_text())["rel_micro_r"] == recall
    assert run("evaluate", model, data, "--threshold", 1.5).exit_code == 2


def test_threshold_of_nothing(tmp_path, data):
    path = make_pipeline(tmp_path / "model", relation_scorer=False)
    check_fails(run("evaluate", path, data, "--threshold", 0.5), "D162", "entity_ruler")


def test_bad_gpu(model, data):
    check_fails(run("evaluate", model, data, "--gpu-id", 99), "D163", 99)


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
