import json

import pytest
from spacy.tokens import Doc, DocBin, Span
from spacy.vocab import Vocab
from typer.testing import CliRunner

from spacy_deeper.cli import app
from spacy_deeper.cli.debug_data import MAX_PLACES, MAX_ROWS
from spacy_deeper.relations import USER_DATA_KEY, set_relations

VOCAB = Vocab()


def lives(who="Ann", where="Oslo", label="Live_In", types=("Per", "Loc")):
    doc = Doc(VOCAB, words=[who, "in", where])
    doc.ents = [Span(doc, 0, 1, types[0]), Span(doc, 2, 3, types[1])]
    set_relations(doc, [(*doc.ents, label)])
    return doc


def save(path, *docs):
    path.parent.mkdir(exist_ok=True)
    DocBin(docs=docs, store_user_data=True).to_disk(path)
    return path


@pytest.fixture
def train(tmp_path):
    return save(tmp_path / "train.spacy", lives(), lives("Bo", "Rome"), lives())


@pytest.fixture
def dev(tmp_path):
    return save(tmp_path / "dev.spacy", lives("Cy", "Rome", "Work_In"), lives())


def run(*args):
    return CliRunner().invoke(app, ["debug-data", *map(str, args)])


def rows(text):
    return [line.split() for line in text.splitlines()]


def said(text):
    """Join what wasabi has wrapped."""
    return " ".join(text.split())


def check_fails(result, code, *said):
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert f"[{code}] " in result.stderr
    for text in said:
        assert str(text) in result.stderr


def test_tables(train, dev):
    result = run(train, dev)
    assert result.exit_code == 0, result.stderr
    table = rows(result.stdout)
    assert ["documents", "3", "2"] in table
    assert ["tokens", "9", "6"] in table
    assert table[table.index(["Entities", "train", "dev"]) :][2:4] == [
        ["Loc", "3", "2"],
        ["Per", "3", "2"],
    ]
    assert table[table.index(["Relations", "train", "dev"]) :][2:4] == [
        ["Live_In", "3", "1"],
        ["Work_In", "0", "1"],
    ]
    assert table[table.index(["Head", "Relation", "Tail", "train", "dev"]) :][2:4] == [
        ["Per", "Live_In", "Loc", "3", "1"],
        ["Per", "Work_In", "Loc", "0", "1"],
    ]
    bins = table[table.index(["Tokens", "train", "dev"]) :][2:5]
    assert " ".join(cell for cell in bins[1] if cell.strip("█#")) == "1 3 100.0 % 2 100.0 %"
    assert bins[2] == ["2", "0", "0.0", "%", "0", "0.0", "%"]
    assert ["train", "1", "2"] in table  # documents that repeat: of train in train, and in dev
    assert ["dev", "1", "0"] in table
    # Entity texts, pairs, their relations, known triples
    assert "dev 1 of 4 1 of 2 1 of 2 1 of 2" in [" ".join(row) for row in table]


def test_findings(train, dev):
    result = run(train, dev)
    text = said(result.stdout)
    assert "Relation labels in dev only: Work_In (1)" in text
    assert "Documents of dev whose text stands in train: 1 in dev" in text
    assert "No relation arguments without an entity type" in text
    assert "same text" not in text


def test_fails(tmp_path):
    data = save(tmp_path / "a.spacy", Doc(VOCAB, words=["Ann"]))
    path = tmp_path / "a.json"
    result = run(data, "--json", path)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "No relations in train" in said(result.stdout)
    assert "DocBin(store_user_data=True)" in said(result.stdout)
    assert path.exists()


def test_relations_lost_on_saving(tmp_path):
    path = tmp_path / "a.spacy"
    DocBin(docs=[lives()]).to_disk(path)
    result = run(path)
    assert result.exit_code == 1
    assert "DocBin(store_user_data=True)" in said(result.stdout)


def test_warnings_alone_are_no_failure(tmp_path, train):
    data = save(tmp_path / "a.spacy", Doc(VOCAB, words=["Ann"]))
    result = run(train, data)
    assert result.exit_code == 0, result.stderr
    assert "No relations in dev" in said(result.stdout)


def test_train_alone(train):
    result = run(train)
    assert result.exit_code == 0, result.stderr
    assert ["documents", "3"] in rows(result.stdout)
    assert "dev" not in result.stdout


def test_test_without_dev(train, dev):
    result = run(train, "--test", dev)
    assert result.exit_code == 0, result.stderr
    assert ["Entities", "train", "test"] in rows(result.stdout)
    assert "Relation labels in test only: Work_In (1)" in said(result.stdout)


def test_three_splits(train, dev):
    result = run(train, dev, "--test", dev)
    assert result.exit_code == 0, result.stderr
    assert "Documents of test whose text stands in dev: 2 in test" in said(result.stdout)


def test_json(tmp_path, train, dev):
    path = tmp_path / "new" / "found.json"
    result = run(train, dev, "--json", path, "--rare", 2)
    assert result.exit_code == 0, result.stderr
    assert str(path) in result.stdout
    assert [p.name for p in path.parent.iterdir()] == ["found.json"]
    found = json.loads(path.read_text())
    assert found["rare"] == 2
    assert found["files"] == {
        "train": [{"path": str(train), "first_doc": 0}],
        "dev": [{"path": str(dev), "first_doc": 0}],
    }
    assert found["splits"]["train"]["relations"] == {"Live_In": 3}
    assert found["repeats"]["dev"] == {"train": 1, "dev": 0}
    (leak,) = [f for f in found["findings"] if f["name"] == "duplicates_dev_train"]
    assert leak["level"] == "warn"
    assert {"split": "dev", "doc": 1, "text": "Ann in Oslo"}.items() <= leak["places"][2].items()


def test_json_over_an_input(train, dev):
    before = dev.read_bytes()
    check_fails(run(train, dev, "--json", dev.parent / "x" / ".." / dev.name), "D154", dev.name)
    assert dev.read_bytes() == before


def test_json_not_written(tmp_path, train):
    (tmp_path / "file").write_text("")
    result = run(train, "--json", tmp_path / "file" / "a.json")
    assert result.exit_code == 1
    assert "[D106] " in result.stderr


def test_verbose(train, dev):
    text = said(run(train, dev, "--verbose").stdout)
    assert "lists the places" not in text
    assert "train 0 same text: train 0, train 2, dev 1 Ann in Oslo" in text
    assert "dev 0 Cy [Per] --Work_In--> Rome [Loc]" in text


def test_verbose_is_not_endless(tmp_path):
    docs = [Doc(VOCAB, words=[f"w{i}"]) for i in range(MAX_PLACES + 2)]
    result = run(save(tmp_path / "a.spacy", lives(), *docs), "-V")
    assert result.exit_code == 0, result.stderr
    assert f"train {MAX_PLACES}\n" in result.stdout
    assert f"train {MAX_PLACES + 1}\n" not in result.stdout
    assert "... and 2 more" in result.stdout


def test_long_tables_are_cut(tmp_path):
    docs = [lives(label=f"L{i}") for i in range(MAX_ROWS + 1)]
    result = run(save(tmp_path / "a.spacy", *docs))
    assert result.exit_code == 0, result.stderr
    assert "... and 1 more rows" in result.stdout


def test_folder(tmp_path):
    folder = tmp_path / "data"
    save(folder / "b.spacy", lives("Bo"), lives("Bo"))
    save(folder / "a.spacy", lives())
    (folder / "notes.txt").write_text("no data")
    path = tmp_path / "found.json"
    result = run(folder, "-V", "--json", path)
    assert result.exit_code == 0, result.stderr
    assert ["documents", "3"] in rows(result.stdout)
    assert "train 2 (b.spacy 1)  same text: train 1, train 2" in result.stdout
    files = json.loads(path.read_text())["files"]["train"]
    assert files == [
        {"path": str(folder / "a.spacy"), "first_doc": 0},
        {"path": str(folder / "b.spacy"), "first_doc": 1},
    ]


def test_odd_texts_and_labels(tmp_path):
    docs = [lives("A\n\x1b[1m\u2028n", "\U0001f600", "<L\u00e9 \U0001f600>", ("P 1", "L,2"))] * 2
    path = tmp_path / "found.json"
    result = run(save(tmp_path / "a.spacy", *docs), "-V", "--json", path)
    assert result.exit_code == 0, result.stderr
    found = json.loads(path.read_text())
    assert found["splits"]["train"]["relations"] == {"<L\u00e9 \U0001f600>": 2}
    assert "[1m\u2028" not in result.stdout
    assert "A ?[1m n in \U0001f600" in result.stdout


@pytest.mark.parametrize("content", [None, b"", b"no data", "no docs"])
def test_bad_data(tmp_path, train, content):
    path = tmp_path / "a.spacy"
    if content == "no docs":
        DocBin().to_disk(path)
    elif content is not None:
        path.write_bytes(content)
    output = tmp_path / "found.json"
    check_fails(run(train, path, "--json", output), "D161", path)
    check_fails(run(path, train, "--json", output), "D161", path)
    assert not output.exists()


def test_truncated_data(tmp_path, train):
    path = tmp_path / "a.spacy"
    path.write_bytes(train.read_bytes()[:-20])
    check_fails(run(path), "D161", path)


def test_folder_without_data(tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    check_fails(run(folder), "D161", folder)


def test_unreadable_relations(tmp_path, train):
    doc = lives()
    doc.user_data[USER_DATA_KEY] = [99, []]
    check_fails(run(train, save(tmp_path / "a.spacy", lives(), doc)), "D170", "dev, document 1")
