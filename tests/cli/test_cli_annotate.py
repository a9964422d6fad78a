import json
from pathlib import Path

import pytest
import spacy
from typer.testing import CliRunner

from spacy_deeper.cli import app


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model")
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "Per", "pattern": "Ann"}])
    nlp.to_disk(path)
    return path


def run(*args: object):
    return CliRunner().invoke(app, ["annotate", *map(str, args)])


def test_what_it_says(model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('key,body\nx,"Ann left."\ny,\n')
    output = tmp_path / "out.jsonl"
    options = ("--text-column", "body", "--id-column", "key", "--batch-size", 1)
    result = run(model, tmp_path / "a.csv", output, *options)
    assert result.exit_code == 0, result.output
    counts = "documents: 1, words: 3, entities: 1, relations: 0"
    assert f"Wrote {output} ({counts})" in result.stdout
    assert "words/s" in result.stdout
    failures = f"{output}.failures.jsonl"
    assert f"Failed documents: 1. {failures} has the reasons." in result.stderr
    assert json.loads(output.read_text())["id"] == "x"
    assert json.loads(Path(failures).read_text())["reason"] == "the text is empty"


def test_to_a_folder(model: Path, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("Ann left.")
    result = run(model, tmp_path / "texts", tmp_path / "out", "--to", "triples")
    assert result.exit_code == 0, result.output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["part-000000.tsv"]
    assert "Failed" not in result.stderr


def test_nothing_but_failures(model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"body": "Ann."}\n' * 3)
    result = run(model, tmp_path / "a.jsonl", tmp_path / "out.jsonl")
    assert result.exit_code == 1
    assert "[D424] None of the 3 documents" in result.stderr
    assert "there is no 'text' to annotate, only: body" in result.stderr


def test_errors_are_one_line(model: Path, tmp_path: Path) -> None:
    result = run(model, tmp_path / "none.txt", tmp_path / "out.jsonl")
    assert result.exit_code == 1
    assert "[D401]" in result.stderr
    assert result.stderr.count("\n") == 1
