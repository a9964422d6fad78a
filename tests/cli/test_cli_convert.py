import json
import re
import subprocess
import sys

import pytest
from spacy.cli._util import app as spacy_app
from typer.testing import CliRunner

from spacy_deeper.cli import app
from spacy_deeper.training.formats import FORMATS, WRITERS

MARKUP = "[Ann](Per) left [Oslo](Loc).\n  Ann --Left--> Oslo\n\n[Bo](Per).\n"


@pytest.fixture
def markup(tmp_path):
    path = tmp_path / "ann.txt"
    path.write_text(MARKUP)
    return path


def run(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_summary(tmp_path, markup):
    output = tmp_path / "new" / "a.spacy"
    result = run("convert", markup, output)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert f"Wrote {output} (documents: 2)" in result.stdout
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows.index(["Entities"]) < rows.index(["Per", "2"]) < rows.index(["all", "3"])
    assert rows.index(["Relations"]) < rows.index(["Left", "1"]) < rows.index(["all", "1"])
    assert output.is_file()


def test_folder_and_format(tmp_path, markup):
    path = markup.rename(tmp_path / "ann.data")
    assert run("convert", path, tmp_path, "--from", "markup", "--lang", "de").exit_code == 0
    assert (tmp_path / "ann.spacy").is_file()


NESTED = """{"tokens": ["old", "Oslo"], "relations": [], "entities": [
{"type": "L", "start": 0, "end": 2}, {"type": "L", "start": 1, "end": 2}]}""".replace("\n", "")
REASON = "overlaps a longer or earlier one"


@pytest.fixture
def nested(tmp_path):
    path = tmp_path / "nested.jsonl"
    path.write_text(NESTED)
    return path


def rows(result):
    return [re.split(r"\s{2,}", line.strip()) for line in result.stdout.splitlines()]


def test_losses_are_shown(tmp_path, nested):
    report = tmp_path / "report.jsonl"
    result = run("convert", nested, tmp_path / "a.spacy", "--report", report)
    assert result.exit_code == 0
    assert ["documents", "1", "1"] in rows(result)
    assert ["entities", "2", "1"] in rows(result)
    assert ["dropped entities", REASON, "1", f"{nested}, record 0, entity 1"] in rows(result)
    assert json.loads(report.read_text())["item"] == "Oslo (L)"


def test_overlapping_spans(tmp_path, nested):
    result = run("convert", nested, tmp_path / "a.spacy", "--overlap", "spans")
    assert ["entities", "2", "2"] in rows(result)
    assert "repaired entities" in result.stdout


def test_no_losses(tmp_path, markup):
    result = run("convert", markup, tmp_path / "a.spacy", "--strict")
    assert result.exit_code == 0
    assert "Changed" not in result.stdout


def test_a_guessed_file_without_entities(tmp_path):
    """Any text is markup, if there is none in it."""
    path = tmp_path / "a.txt"
    path.write_text("Hello, world.\n")
    result = run("convert", path, tmp_path / "a.spacy")
    assert result.exit_code == 0
    assert f"[DW100] {path} has no entity" in result.stderr
    assert run("convert", path, tmp_path / "b.spacy", "--from", "markup").stderr == ""


def test_strict(tmp_path, nested):
    result = run("convert", nested, tmp_path / "a.spacy", "--strict")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "[D129]" in result.stderr
    assert REASON in result.stderr
    assert not (tmp_path / "a.spacy").exists()


def test_align(tmp_path):
    (tmp_path / "a.txt").write_text("[Ann](Per)ette left.\n")
    shown = {
        mode: run("convert", tmp_path / "a.txt", tmp_path / "a.spacy", "--align", mode).stdout
        for mode in ("expand", "contract", "strict")
    }
    assert "expanded to whole tokens" in shown["expand"]
    assert "no whole token inside of it" in shown["contract"]
    assert "cuts a token" in shown["strict"]


def test_stdin_and_back(tmp_path, markup):
    result = CliRunner().invoke(app, ["convert", "-", str(tmp_path)], input=MARKUP)
    assert result.exit_code == 0
    spacy_file = tmp_path / "stdin.spacy"
    assert run("convert", spacy_file, tmp_path / "brat", "--to", "brat").exit_code == 0
    assert run("convert", tmp_path / "brat", tmp_path / "a.jsonl", "--to", "spert").exit_code == 0
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["none.txt", "a.spacy"], "D100"),
        (["ann.txt", "a.spacy", "--from", "x"], "D101"),
        (["ann.data", "a.spacy"], "D102"),
        (["ann.txt", "a"], "D105"),
        (["ann.txt", "a.spacy", "--lang", "xx_none"], "D107"),
        (["ann.txt", "a.spacy", "--overlap", "x"], "D108"),
        (["ann.txt", "a.spacy", "--align", "x"], "D108"),
        (["ann.txt", "a.jsonl"], "D155"),
        (["ann.txt", "a.jsonl", "--to", "x"], "D101"),
    ],
)
def test_bad_arguments(tmp_path, markup, monkeypatch, args, code):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ann.data").write_text(MARKUP)
    result = run("convert", *args)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert f"[{code}] " in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ann.data", "ann.txt"]


def test_other_errors_keep_their_traceback(tmp_path, markup, monkeypatch):
    def fail(*args, **kwargs):
        raise ValueError("a bug")

    monkeypatch.setattr("spacy_deeper.training.convert.convert", fail)
    result = run("convert", markup, tmp_path)
    assert str(result.exception) == "a bug"


def test_help_names_the_formats():
    text = run("convert", "--help").stdout
    assert all(name in text for name in FORMATS)
    assert all(name in text for name in WRITERS)


def test_command_of_spacy():
    help_text = CliRunner().invoke(spacy_app, ["--help"]).stdout
    assert "relations" in help_text
    assert "init" in help_text
    result = CliRunner().invoke(spacy_app, ["relations", "--help"])
    assert result.exit_code == 0
    for name in ("convert", "merge-config", "evaluate", "show"):
        assert name in result.stdout


def test_entry_point():
    args = [sys.executable, "-m", "spacy", "relations", "convert", "none.txt", "a.spacy"]
    result = subprocess.run(args, capture_output=True, text=True)
    assert result.returncode == 1
    assert "[D100]" in result.stderr
    assert "Traceback" not in result.stderr


def test_light_import():
    code = """
import sys, spacy
before = set(sys.modules)
import spacy_deeper.cli
names = {name for name in set(sys.modules) - before if not name.startswith("spacy_deeper")}
assert not names, names
assert not [n for n in sys.modules if n.startswith(("spacy_deeper.models", "spacy_deeper.layers"))]
"""
    subprocess.run([sys.executable, "-c", code], check=True)
