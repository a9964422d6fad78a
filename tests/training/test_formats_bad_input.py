"""What is wrong in a file is said in one line, and nothing is written."""

import json
import re

import pytest
from typer.testing import CliRunner

from spacy_deeper.cli import app

RECORD = {
    "tokens": ["Ann", "Berg", "left", "Oslo", "for", "Oslo"],
    "entities": [
        {"type": "Loc", "start": 3, "end": 4},
        {"type": "Per", "start": 0, "end": 2},
        {"type": "Loc", "start": 5, "end": 6},
    ],
    "relations": [
        {"type": "Left", "head": 1, "tail": 0},
        {"type": "Live_In", "head": 1, "tail": 2},
        {"type": "Work_In", "head": 1, "tail": 2},
    ],
    "orig_id": 7,
}
EMPTY = {"tokens": ["Hm"], "entities": [], "relations": []}
# Of a markup file: what stands before the line in error, and after it.
BEFORE, AFTER = "Hm .\n\n[Ann](Per) met [Bo](Per) and [Bo](Per) .\n", "\n\nHm .\n"


REMOVED = object()


def changed(path, value):
    """RECORD with the value at the path of keys set, or removed if it is REMOVED."""
    record = json.loads(json.dumps(RECORD))
    *parents, last = path
    node = record
    for key in parents:
        node = node[key]
    if value is REMOVED:
        del node[last]
    elif isinstance(node, list) and last == len(node):
        node.append(value)
    else:
        node[last] = value
    return record


@pytest.fixture
def fails(tmp_path):
    """Check that converting a file fails with one coded line and leaves the output as it was."""

    def check(path, code, *said):
        folder = tmp_path / "out"
        folder.mkdir()
        output = folder / "a.spacy"
        for before in (None, b"an older output"):
            if before:
                output.write_bytes(before)
            result = CliRunner().invoke(app, ["convert", str(path), str(output)])
            assert result.exit_code == 1
            assert isinstance(result.exception, SystemExit)
            assert result.stdout == ""
            assert re.fullmatch(rf"\S+ \[{code}\] .*\n", result.stderr)
            for text in said:
                assert text in result.stderr
            assert [p.name for p in folder.iterdir()] == ([output.name] if before else [])
            assert not before or output.read_bytes() == before

    return check


def write_markup(tmp_path, text):
    path = tmp_path / "a.txt"
    path.write_text(text)
    return path


BAD_RECORDS = {
    "not an object": (["Ann"], "D112", ""),
    "entity not an object": (changed(["entities", 0], 3), "D112", "entity 0"),
    "relation not an object": (changed(["relations", 1], [1, 2]), "D112", "relation 1"),
    "no tokens key": (changed(["tokens"], REMOVED), "D113", "'tokens'"),
    "no entities key": (changed(["entities"], REMOVED), "D113", "'entities'"),
    "no relations key": (changed(["relations"], REMOVED), "D113", "'relations'"),
    "no entity type": (changed(["entities", 1, "type"], REMOVED), "D113", "entity 1"),
    "no entity end": (changed(["entities", 1, "end"], REMOVED), "D113", "'end'"),
    "no relation head": (changed(["relations", 0, "head"], REMOVED), "D113", "relation 0"),
    "unknown record key": (
        changed(["text"], "Ann"),
        "D114",
        "tokens, entities, relations, orig_id",
    ),
    "unknown entity key": (changed(["entities", 0, "label"], "L"), "D114", "type, start, end"),
    "unknown relation key": (changed(["relations", 0, "score"], 1), "D114", "type, head, tail"),
    "tokens a string": (changed(["tokens"], "Ann"), "D115", "a list, and is a string"),
    "entities null": (changed(["entities"], None), "D115", "a list, and is null"),
    "relations an object": (changed(["relations"], {}), "D115", "a list, and is an object"),
    "orig_id a list": (changed(["orig_id"], [7]), "D115", "an integer or a string"),
    "entity type a number": (changed(["entities", 0, "type"], 1), "D115", "a string"),
    "entity start a string": (changed(["entities", 0, "start"], "3"), "D115", "an integer"),
    "entity start a boolean": (changed(["entities", 1, "start"], False), "D115", "a boolean"),
    "entity end a decimal": (changed(["entities", 0, "end"], 4.0), "D115", "a decimal number"),
    "relation head a boolean": (changed(["relations", 0, "head"], True), "D115", "a boolean"),
    "entity type empty": (changed(["entities", 0, "type"], " "), "D124", "entity 0"),
    "relation type empty": (changed(["relations", 0, "type"], ""), "D124", "relation 0"),
    "empty tokens": ({**EMPTY, "tokens": [], "orig_id": 7}, "D116", ""),
    "empty token": (changed(["tokens", 2], ""), "D117", "token 2"),
    "token a number": (changed(["tokens", 2], 5), "D117", "an integer"),
    "start is end": (changed(["entities", 0, "end"], 3), "D118", "start 3 and end 3"),
    "start after end": (changed(["entities", 0, "end"], 1), "D118", "entity 0"),
    "start negative": (changed(["entities", 1, "start"], -1), "D118", "start -1"),
    "end past the tokens": (changed(["entities", 2, "end"], 7), "D118", "the 6 tokens"),
    "head out of range": (changed(["relations", 0, "head"], 3), "D121", "3 entities"),
    "tail negative": (changed(["relations", 1, "tail"], -1), "D121", "'tail' is -1"),
    "surrogate in a label": (changed(["relations", 0, "type"], "\ud800"), "D125", "surrogates"),
    "lone surrogate": (changed(["tokens", 0], "\ud800"), "D125", "surrogates"),
}
BAD_FILES = {
    "broken": ('[{"tokens":\n ["a" "b"]}]', "D110", "line 2, column 7"),
    "truncated": (json.dumps([RECORD])[:-30], "D110", "line 1"),
    "nothing": ("", "D104", ""),
    "an object": (json.dumps(RECORD, indent=1), "D111", "one JSON object"),
    "a number": ("3", "D112", "and is an integer"),
    "a list of lists": ("[[]]", "D112", "and is a list"),
    "huge integer": ('{"tokens": ' + "1" * 5000 + "}", "D110", "digits"),
    "deep": ("[" * 100_000, "D110", "nested too deeply"),
    "no records": ("[]", "D104", ""),
}


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize(("record", "code", "said"), BAD_RECORDS.values(), ids=BAD_RECORDS)
def test_bad_record(tmp_path, fails, record, code, said, suffix):
    path = tmp_path / f"a{suffix}"
    records = [EMPTY, record]
    lines = "\n".join(map(json.dumps, records))
    path.write_text(lines if suffix == ".jsonl" else json.dumps(records))
    orig_id = isinstance(record, dict) and record["orig_id"] == 7
    where = f"{path}, record 1 (orig_id 7)" if orig_id else f"{path}, record 1"
    fails(path, code, where, said)


@pytest.mark.parametrize(("text", "code", "said"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_file(tmp_path, fails, text, code, said):
    path = tmp_path / "a.json"
    path.write_text(text)
    fails(path, code, str(path), said)


def test_broken_json_lines(tmp_path, fails):
    path = tmp_path / "a.jsonl"
    path.write_text(f"{json.dumps(RECORD)}\n\n{{1}}\n")
    fails(path, "D110", str(path), "line 3, column 2")


def test_not_utf8(tmp_path, fails):
    path = tmp_path / "a.json"
    path.write_bytes(b'[{"tokens": ["\xe9"]}]')
    fails(path, "D103", str(path), "UTF-8")


BAD_TEXTS = {
    "not closed": ("a [b", "D130", "'[b'"),
    "no type": ("a [b] c", "D130", "'[b] c'"),
    "type not closed": ("a [b](T c", "D130", "[b](T c"),
    "nested": ("[a [b](T) c](T)", "D130", "'[a '"),
    "not opened": ("a b](T) c", "D130", "'](T) c'"),
    "opening escaped": (r"a \[b](T) c", "D130", "'](T) c'"),
    "empty mention": ("a [](T)", "D131", "[](T)"),
    "blank mention": ("a [ ](T)", "D131", "[ ](T)"),
    "empty type": ("a [b]() c", "D131", "[b]()"),
    "blank type": ("a [b]( ) c", "D131", "[b]()"),
    "relation first": ("  a --R--> b", "D136", ""),
}
BAD_RELATIONS = {
    "unknown head": ("  Cy --Met--> Ann", "D133", "no entity 'Cy'"),
    "unknown tail": ("  Ann --Met--> met", "D133", "'Ann', 'Bo', 'Bo'"),
    "number too high": ("  Ann --Met--> Bo#3", "D133", "'Bo#3'"),
    "number zero": ("  Ann --Met--> Bo#0", "D133", "'Bo#0'"),
    "ambiguous": ("  Ann --Met--> Bo", "D134", "'Bo#1' to 'Bo#2'"),
    "no indent": ("Ann --Met--> Bo#1", "D135", "two leading spaces"),
    "one space": (" Ann --Met--> Bo#1", "D135", ""),
    "three spaces": ("   Ann --Met--> Bo#1", "D135", ""),
    "no label": ("  Ann ----> Bo#1", "D135", ""),
    "no tail": ("  Ann --Met-->", "D135", ""),
    "wrong arrow": ("  Ann --Met-> Bo#1", "D135", ""),
    "second text": ("And [Cy](Per).", "D135", "'And [Cy](Per).' is no relation"),
}


@pytest.mark.parametrize(("line", "code", "said"), BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_bad_text(tmp_path, fails, line, code, said):
    path = write_markup(tmp_path, BEFORE + "\n" + line + AFTER)
    fails(path, code, f"{path}, line 5: ", said)


@pytest.mark.parametrize(("line", "code", "said"), BAD_RELATIONS.values(), ids=BAD_RELATIONS)
def test_bad_relation(tmp_path, fails, line, code, said):
    path = write_markup(tmp_path, BEFORE + line + AFTER)
    fails(path, code, f"{path}, line {4 + line.count(chr(10))}: ", said)


@pytest.mark.parametrize("text", ["", "\n \n", "# only\n\n# comments\n"])
def test_no_records(tmp_path, fails, text):
    path = write_markup(tmp_path, text)
    fails(path, "D104", str(path))
