import subprocess
import sys

import pytest
from spacy.cli._util import app as spacy_app
from typer.testing import CliRunner

from spacy_deeper.cli import app
from spacy_deeper.training.formats import FORMATS

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


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["none.txt", "a.spacy"], "D100"),
        (["ann.txt", "a.spacy", "--from", "x"], "D101"),
        (["ann.data", "a.spacy"], "D102"),
        (["ann.txt", "a"], "D105"),
        (["ann.txt", "a.spacy", "--lang", "xx_none"], "D107"),
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


def test_command_of_spacy():
    help_text = CliRunner().invoke(spacy_app, ["--help"]).stdout
    assert "relations" in help_text
    assert "find-threshold" in help_text
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
