import csv
import json
from datetime import date
from pathlib import Path

import pytest

from spacy_deeper.annotation import inputs
from spacy_deeper.annotation.inputs import Columns, Failure, Text, find_input


def read(path: Path, format: str | None = None, **columns: str) -> list[Text | Failure]:
    found = find_input(path, format, Columns(**columns))
    records = list(found)
    assert found.count() == len(records)
    assert [record.number for record in records] == list(range(len(records)))
    return records


def ids_and_texts(records) -> list[tuple]:
    return [(record.id, record.text) for record in records]


def reasons(records) -> list[tuple]:
    return [(record.line, record.reason) for record in records if isinstance(record, Failure)]


def test_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfAnn left.\r\n\n \xe2\x80\xa8Bo\x0b. \nlatin \xe9\nlast")
    records = read(path)
    assert ids_and_texts(records) == [
        (0, "Ann left."),
        (1, None),
        (2, " \u2028Bo\x0b. "),
        (3, None),
        (4, "last"),
    ]
    assert reasons(records) == [
        (2, "the text is empty"),
        (4, "the text is not UTF-8: save it as UTF-8"),
    ]
    assert records[3].raw == "latin \\xe9"
    assert records[3].file == str(path)


def test_a_folder_of_texts(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.txt").write_text("Two\nlines.\n")
    (tmp_path / "a.txt").write_bytes(b"\xff")
    (tmp_path / "readme.md").write_text("no")
    records = read(tmp_path)
    assert ids_and_texts(records) == [("a.txt", None), ("b/1.txt", "Two\nlines.\n")]
    assert reasons(records) == [(None, "the text is not UTF-8: save it as UTF-8")]
    assert len(read(tmp_path, "lines")) == 3


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = [
        '{"id": "x", "text": "Ann.", "n": 1, "big": 99999999999999999999, "not": NaN}',
        '{"id": 7, "body": "Bo."}',
        "{",
        "",
        "[1]",
        '{"text": null}',
        '{"text": 3}',
        '{"text": "a \\ud800"}',
        '{"id": {}, "text": "a"}',
        '{"id": 1.5, "text": "last"}',
    ]
    path.write_text("\n".join(lines))
    records = read(path)
    assert records[0] == Text(
        0, "x", "Ann.", {"n": 1, "big": "99999999999999999999", "not": None}, str(path), 1
    )
    assert reasons(records) == [
        (2, "there is no 'text' to annotate, only: body"),
        (
            3,
            "broken JSON: Expecting property name enclosed in double quotes: "
            "line 1 column 2 (char 1)",
        ),
        (5, "the line is no JSON object with a text"),
        (6, "'text' is null"),
        (7, "'text' is no text, but of type int"),
        (8, "the text is not UTF-8: save it as UTF-8"),
        (9, "the id, 'id', is no text or number"),
    ]
    assert records[1].id == 7
    assert records[2].raw == "{"
    assert ids_and_texts(records)[-1] == ("1.5", "last")


def test_names_of_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"key": "k", "body": "Ann.", "id": 3}\n{"body": "Bo."}\n')
    records = read(path, text="body", id="key")
    assert records[0] == Text(0, "k", "Ann.", {"id": 3}, str(path), 1)
    assert reasons(records) == [(2, "there is no id 'key'")]


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        b'id,text,who\n1,"Ann, ""left"".\nToday.",me\n2,too,many,fields\n\n3,"broken"x,\n'
        b"4,latin \xe9,\n5,Bo.,\n,Ann.,you\n"
    )
    records = read(path)
    assert records[0] == Text(0, "1", 'Ann, "left".\nToday.', {"who": "me"}, str(path), 2)
    assert reasons(records) == [
        (4, "4 fields, where the header has 3"),
        (6, "broken CSV: ',' expected after '\"'"),
        (7, "the text is not UTF-8: save it as UTF-8"),
    ]
    assert ids_and_texts(records)[-2:] == [("5", "Bo."), (5, "Ann.")]


def test_a_quote_that_is_not_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(
        'text\twho\nAnn.\tme\n"Bo\tyou\nAnn again.\tme\n"Cy"\tyou\n\n"Two\nlines."\tme\n'
    )
    records = read(path)
    texts = [record.text for record in records if isinstance(record, Text)]
    assert texts == ["Ann.", "Two\nlines."]
    assert [record.line for record in records] == [2, 3, 7]
    assert reasons(records) == [(3, """broken CSV: '\t' expected after '"'""")]
    assert records[1].raw == '"Bo\tyou\nAnn again.\tme\n"Cy"\tyou'  # nothing of it is lost


def test_a_quote_that_takes_all_that_follows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,who\nAnn.,me\n"Bo,you\n' + "Ann again.,me\n" * 100)
    records = read(path)
    assert reasons(records) == [(3, "broken CSV: unexpected end of data")]
    assert records[1].raw == '"Bo,you'
    assert len(records) == 102


def test_capital_suffixes_and_hidden_files(tmp_path: Path) -> None:
    (tmp_path / ".ipynb_checkpoints").mkdir()
    for name in ("a.txt", "B.TXT", ".c.txt", ".ipynb_checkpoints/a.txt"):
        (tmp_path / name).write_text("Ann.")
    found = find_input(tmp_path, None, Columns())
    assert [path.name for path in found.files] == ["B.TXT", "a.txt"]
    assert find_input(tmp_path / "B.TXT", None, Columns()).format == "lines"


def test_parquet_of_types_that_python_has_not(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    at = pa.array([1_600_000_000_000_000_001, None], pa.timestamp("ns"))
    took = pa.array([5, None], pa.duration("ns"))
    texts = ["Ann.", "Bo."]
    parquet.write_table(pa.table({"text": texts, "at": at, "took": took}), tmp_path / "a.parquet")
    first, second = read(tmp_path / "a.parquet")
    assert first.meta["at"].startswith("2020-09-13 12:26:40.000000001")
    assert str(first.meta["took"]).endswith("5")  # pandas has a type for it
    assert second == Text(1, 1, "Bo.", {"at": None, "took": None}, str(tmp_path / "a.parquet"), 2)
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[-40:-8] = b"\xff" * 32
    (tmp_path / "b.parquet").write_bytes(content)
    with pytest.raises(ValueError, match=r"\[D404\] .*b.parquet"):
        find_input(tmp_path / "b.parquet", None, Columns()).count()


def test_a_long_field(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["text"], ["word " * 100_000]])
    assert len(read(path)[0].text) == 500_000


def test_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "key=a"  # what pyarrow would take for a partition
    path.mkdir()
    path /= "a.parquet"
    columns = {
        "id": [1, 2, None],
        "text": ["Ann.", None, "Bo."],
        "at": [date(2020, 1, 2)] * 3,
        "score": [0.5, float("nan"), 1.0],
        "data": [b"a", None, b"c"],
    }
    parquet.write_table(pa.table(columns), path)
    records = read(path)
    meta = {"at": "2020-01-02", "score": 0.5, "data": "b'a'"}
    assert records[0] == Text(0, 1, "Ann.", meta, str(path), 1)
    assert reasons(records) == [(2, "'text' is null")]
    assert ids_and_texts(records)[2] == (2, "Bo.")
    assert len(read(tmp_path)) == 3  # the folder


def test_parquet_with_bytes_that_are_no_utf8(tmp_path: Path) -> None:
    """Only the rows that have them as their text fail; in other columns they are escaped."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def strings(*values: bytes | None):
        made = pa.array(values, pa.binary())
        return pa.Array.from_buffers(pa.string(), len(values), made.buffers(), made.null_count)

    texts = strings(b"Ann.", b"Bo \xff", None, "Ås.".encode(), b"Cy.")
    names = strings(b"a", b"b", b"c", b"d\xff", None)
    tags = pa.ListArray.from_arrays([0, 1, 2, 3, 4, 5], strings(b"a", b"b", b"c", b"d", b"\xff"))
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": texts, "name": names, "tags": tags}), path)
    records = read(path)
    assert reasons(records) == [
        (2, "the text is not UTF-8: save it as UTF-8"),
        (3, "'text' is null"),
        (5, f"'tags' can't be read: {decoding_error()}"),
    ]
    assert records[1].raw == {"text": "Bo \\xff", "name": "b", "tags": ["b"]}
    assert records[4].raw["text"] == "Cy."
    assert records[0] == Text(0, 0, "Ann.", {"name": "a", "tags": ["a"]}, str(path), 1)
    assert records[3] == Text(3, 3, "Ås.", {"name": "d\\xff", "tags": ["d"]}, str(path), 4)


def decoding_error() -> str:
    with pytest.raises(UnicodeDecodeError) as info:
        b"\xff".decode()
    return str(info.value)


def test_columns_of_parquet_are_seen_at_once(tmp_path: Path) -> None:
    """Not when all files before this one are annotated."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    columns = [pa.array(["Ann."])] * 3
    parquet.write_table(pa.Table.from_arrays(columns, ["text", "a", "a"]), path)
    with pytest.raises(ValueError, match=r"\[D428\] .*a.parquet .*'a'"):
        find_input(path, None, Columns()).count()
    with pytest.raises(ValueError, match=r"\[D406\] .*a.parquet .*'body'"):
        find_input(path, None, Columns("body")).count()


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_a_line_that_is_too_long(tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.setattr(inputs, "MAX_LENGTH", 30)
    path = tmp_path / name
    path.write_text(f"text\n{'å' * 29}\n", "utf8")
    read(path)
    path.write_text(f"text\n{'å' * 30}\n", "utf8")
    with pytest.raises(ValueError, match=r"\[D429\] .*, line 2: .* more than 30 characters"):
        read(path)


def test_several_files(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": f"In {name}."}) + "\n")
    assert [record.text for record in read(tmp_path)] == ["In a.", "In b."]


@pytest.mark.parametrize(
    ("name", "content", "columns", "error"),
    [
        ("a.csv", "body,id\nAnn.,1\n", {}, r"\[D406\] .*a.csv.*'text'.*--text-column.*body, id"),
        ("a.csv", "text\nAnn.\n", {"id": "key"}, r"\[D406\] .*'key'.*--id-column"),
        ("a.csv", 'te"x"t,"a"b\n', {}, r"\[D403\]"),
        ("a.csv", "text,a,a\nAnn.,1,2\n", {}, r"\[D428\] .*a.csv .*'a'"),
        ("a.tsv", "text\ttext\nAnn.\tBo.\n", {}, r"\[D428\] .*a.tsv .*'text'"),
        ("a.parquet", "text", {}, r"\[D404\] .*a.parquet"),
        ("a.doc", "text", {}, r"\[D400\] .*a.doc.*--from"),
    ],
)
def test_errors(tmp_path: Path, name: str, content: str, columns: dict, error: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=error):
        list(find_input(tmp_path / name, None, Columns(**columns)))


def test_errors_of_folders(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\[D401\]"):
        read(tmp_path / "none")
    with pytest.raises(ValueError, match=r"\[D402\] .*none"):
        read(tmp_path)
    (tmp_path / "a.txt").touch()
    (tmp_path / "a.csv").touch()
    with pytest.raises(ValueError, match=r"\[D402\] .*files and csv"):
        read(tmp_path)
    with pytest.raises(ValueError, match=r"\[D101\]"):
        read(tmp_path, "json")
