import io
import json
import os
from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin
from spacy.training import Corpus

from spacy_deeper.relations import get_relations
from spacy_deeper.training.convert import convert, write_atomically
from spacy_deeper.training.formats import util

MARKUP = "[Ann](Per) left [Oslo](Loc).\n  Ann --Left--> Oslo\n"
RECORDS = [{"tokens": ["it's"], "entities": [], "relations": [], "orig_id": "x"}]


@pytest.fixture
def markup(tmp_path):
    path = tmp_path / "ann.txt"
    path.write_text(MARKUP)
    return path


def test_convert(tmp_path, markup):
    done = convert(markup, tmp_path / "new" / "folder" / "a.spacy")
    assert done[:-1] == (
        tmp_path / "new" / "folder" / "a.spacy",
        1,
        {"Per": 1, "Loc": 1},
        {"Left": 1},
    )
    assert not done.report.losses
    assert [path.name for path in done.path.parent.iterdir()] == ["a.spacy"]
    (doc,) = DocBin().from_disk(done.path).get_docs(spacy.blank("en").vocab)
    assert doc.text == "Ann left Oslo."
    assert [(r.head.text, r.label, r.tail.text) for r in get_relations(doc)] == [
        ("Ann", "Left", "Oslo")
    ]


def test_convert_into_folder(tmp_path, markup):
    assert convert(markup, tmp_path).path == tmp_path / "ann.spacy"


def test_convert_replaces(tmp_path, markup):
    output = tmp_path / "a.spacy"
    output.write_bytes(b"an older output")
    convert(markup, output)
    assert len(DocBin().from_disk(output)) == 1


def test_format_by_name(tmp_path, markup):
    path = markup.rename(tmp_path / "ann.data")
    with pytest.raises(ValueError, match=r"D102.*spert, .*markup"):
        convert(path, tmp_path)
    assert convert(path, tmp_path, "markup").docs == 1


def test_corpus_keeps_given_tokens(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(RECORDS))
    (example,) = Corpus(convert(path, tmp_path).path)(spacy.blank("en"))
    assert [token.text for token in example.predicted] == ["it's"]
    assert example.reference.user_data["orig_id"] == "x"


@pytest.mark.parametrize(
    ("input", "output", "format", "lang", "code"),
    [
        ("none.txt", "a.spacy", None, "en", "D100"),
        (".", "a.spacy", "spert", "en", "D104"),
        ("ann.txt", "a.spacy", "conll", "en", "D101"),
        ("ann.txt", "a.json", None, "en", "D105"),
        ("ann.txt", "a", None, "en", "D105"),
        ("ann.txt", "ann.txt/a.spacy", None, "en", "D106"),
        ("ann.txt", "a.spacy", None, "xx_none", "D107"),
        ("ann.txt", "a.spacy", None, "", "D107"),
    ],
)
def test_bad_arguments(tmp_path, markup, input, output, format, lang, code):
    with pytest.raises(ValueError, match=rf"^\[{code}\] "):
        convert(tmp_path / input, tmp_path / output, format, lang)
    assert [path.name for path in tmp_path.iterdir()] == ["ann.txt"]


def test_nothing_left_of_a_failed_write(tmp_path, monkeypatch):
    path = tmp_path / "a.spacy"
    path.write_bytes(b"old")

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ValueError, match=r"D106.*No space left"):
        write_atomically(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["a.spacy"]
    assert path.read_bytes() == b"old"


def test_a_link_stays_a_link(tmp_path):
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_bytes(b"old")
    link.symlink_to(real)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


def test_no_ordinary_file_is_written_to_as_it_is(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(pipe, b"new")
    assert os.read(reader, 10) == b"new"
    os.close(reader)
    assert pipe.is_fifo()


SPERT = {
    "tokens": ["old", "Oslo"],
    "entities": [{"type": "L", "start": 0, "end": 2}, {"type": "L", "start": 1, "end": 2}],
    "relations": [],
}


@pytest.fixture
def nested(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(SPERT) + "\n")
    return path


def test_report_file(tmp_path, nested):
    done = convert(nested, tmp_path / "a.spacy", report_path=tmp_path / "report" / "a.jsonl")
    assert done.report.read == {"documents": 1, "entities": 2, "relations": 0}
    assert done.report.written == {"documents": 1, "entities": 1, "relations": 0}
    (line,) = (tmp_path / "report" / "a.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "action": "dropped",
        "what": "entities",
        "reason": "overlaps a longer or earlier one",
        "item": "Oslo (L)",
        "file": str(nested),
        "place": "record 0, entity 1",
    }


def test_strict(tmp_path, nested):
    output = tmp_path / "new" / "folder" / "a.spacy"
    report = tmp_path / "report.jsonl"
    with pytest.raises(ValueError, match=r"D129.*: 1, .*Oslo.*record 0, entity 1"):
        convert(nested, output, strict=True, report_path=report)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "report.jsonl"]
    assert report.read_text()


def test_folder_of_files(tmp_path, nested):
    (tmp_path / "b").mkdir()
    (tmp_path / ".hidden.jsonl").write_text("broken")
    (tmp_path / "README").write_text("broken")
    (tmp_path / "b" / "a.json").write_text(json.dumps(RECORDS))
    (tmp_path / "b" / "types.json").write_text('{"entities": {\n}}')
    done = convert(tmp_path, tmp_path / "out.spacy")
    assert [loss.what for loss in done.report.losses] == ["files", "entities"]
    docs = DocBin().from_disk(done.path).get_docs(spacy.blank("en").vocab)
    assert [doc[0].text for doc in docs] == ["old", "it's"]
    (tmp_path / "c.txt").write_text(MARKUP)
    with pytest.raises(ValueError, match=r"D102.*markup, .*spert"):
        convert(tmp_path, tmp_path / "out.jsonl", to="spert")
    assert convert(tmp_path, tmp_path / "out.jsonl", "markup", to="spert").docs == 1


@pytest.mark.parametrize("text", [MARKUP, json.dumps(SPERT), json.dumps([SPERT])])
def test_stdin(tmp_path, monkeypatch, text):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    done = convert(Path("-"), tmp_path)
    assert (done.path, done.docs) == (tmp_path / "stdin.spacy", 1)
    assert all(loss.file == "stdin" for loss in done.report.losses)


@pytest.mark.parametrize("data", [b"", b"x", b"\x00" * 100])
def test_broken_spacy_file(tmp_path, data):
    (tmp_path / "a.spacy").write_bytes(data)
    with pytest.raises(ValueError, match=r"^\[D109\]"):
        convert(tmp_path / "a.spacy", tmp_path / "a.jsonl", to="spert")
    assert not (tmp_path / "a.jsonl").exists()


def test_huge_line(tmp_path, monkeypatch):
    monkeypatch.setattr(util, "MAX_LINE", 100)
    path = tmp_path / "a.txt"
    path.write_text("Hm.\n" + "x" * 101 + "\n")
    with pytest.raises(ValueError, match=r"^\[D127\] .*line 2"):
        convert(path, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
