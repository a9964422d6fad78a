"""Multi-head-selection text, ADE's .rel and DyGIE++'s JSON lines."""

import json

import pytest
import spacy
from typer.testing import CliRunner

from spacy_deeper.cli import app
from spacy_deeper.relations import get_relations
from spacy_deeper.training.convert import convert
from spacy_deeper.training.formats import FORMATS
from spacy_deeper.training.formats.guess import guess
from spacy_deeper.training.formats.util import Source
from spacy_deeper.training.report import Report


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("en")


def read(tmp_path, nlp, name, text, format):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert guess(Source.of(path)) == format
    report = Report()
    docs = list(FORMATS[format].read(path, nlp, report=report))
    ents = [[(ent.text, ent.label_) for ent in doc.ents] for doc in docs]
    links = [[(r.head.text, r.label, r.tail.text) for r in get_relations(doc)] for doc in docs]
    losses = [(loss.action, loss.what, loss.place, loss.reason) for loss in report.losses]
    return docs, ents, links, losses


MULTIHEAD = """#doc 7
0\tAnn\tB-Per\t['N']\t[0]
1\tBerg\tI-Per\t['Left', 'Live_In']\t[3, 4]
2\tleft\tO\t['N']\t[2]
3\tOslo\tB-Loc\t['N']\t[3]
4\tRome\tI-Org\t['Near']\t[3]

#doc 8
0\tHm\tO\t['N']\t[0]
"""


def test_multihead(tmp_path, nlp):
    docs, ents, links, losses = read(tmp_path, nlp, "a.txt", MULTIHEAD, "multihead")
    assert ents == [[("Ann Berg", "Per"), ("Oslo", "Loc"), ("Rome", "Org")], []]
    assert links == [
        [("Ann Berg", "Left", "Oslo"), ("Ann Berg", "Live_In", "Rome"), ("Rome", "Near", "Oslo")],
        [],
    ]
    assert [doc.user_data["orig_id"] for doc in docs] == ["7", "8"]
    assert docs[0].has_unknown_spaces
    reason = "an I- tag without its B- opens an entity"
    assert losses == [("repaired", "entities", "document 7, line 6", reason)]


ADE = """\
7|A rash by DX, not DY, then a rash by DX and DY-C.|rash|102|106|DX|110|112
8|No B here.|No|0|2|B|3|4
7|A rash by DX, not DY, then a rash by DX and DY-C.|rash|129|133|DX|137|139
7|A rash by DX, not DY, then a rash by DX and DY-C.|a rash|127|133|DY|144|146
9|No B here.|No|0|2|C|3|4
9|No B here.|No|0|2|B|5|6
"""


def test_ade(tmp_path, nlp):
    docs, ents, links, losses = read(tmp_path, nlp, "a.rel", ADE, "ade")
    assert [doc.user_data["orig_id"] for doc in docs] == ["7", "8"]
    effect, drug = "Adverse-Effect", "Drug"
    assert ents == [
        [("rash", effect), ("DX", drug), ("a rash", effect), ("DX", drug), ("DY", drug)],
        [("No", effect), ("B", drug)],
    ]
    assert links == [[("rash", effect, "DX"), ("a rash", effect, "DY")], [("No", effect, "B")]]
    assert losses == [
        (
            "dropped",
            "entities",
            "line 1, Adverse-Effect of line 3",
            "overlaps a longer or earlier one",
        ),
        ("dropped", "relations", "line 1, relation of line 3", "an argument was dropped"),
        ("dropped", "relations", "line 5", "an argument is not in the sentence"),
        (
            "repaired",
            "relations",
            "line 6",
            "its arguments are not as far apart as it says: the nearest taken",
        ),
        ("dropped", "relations", "line 2, relation of line 6", "repeats another relation"),
    ]


DYGIE = {
    "doc_key": "a1",
    "sentences": [["Ann", "left", "old", "Oslo"], ["She", "loves", "Rome"]],
    "ner": [[[0, 0, "Per"], [3, 3, "Loc"], [2, 3, "Loc", 0.5, 0.9]], [[6, 6, "Loc"]]],
    "relations": [[[0, 0, 2, 3, "Left"], [0, 0, 3, 3, "Left"]], [[0, 0, 6, 6, "Love"]]],
    "clusters": [[[0, 0], [4, 4]]],
    "events": [[], []],
}


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_dygie(tmp_path, nlp, name):
    text = json.dumps(DYGIE) + "\n" + json.dumps({"sentences": [["Hm"], ["Oh"]]}) + "\n"
    docs, ents, links, losses = read(tmp_path, nlp, name, text, "dygie")
    assert ents == [[("Ann", "Per"), ("old Oslo", "Loc"), ("Rome", "Loc")], []]
    assert links == [[("Ann", "Left", "old Oslo"), ("Ann", "Love", "Rome")], []]
    assert [len(list(doc.sents)) for doc in docs] == [2, 2]
    assert docs[0].user_data["orig_id"] == "a1"
    entity = "line 1, document a1, entity [3, 3, Loc]"
    relation = "line 1, document a1, relation [0, 0, 3, 3, Left]"
    assert losses == [
        ("ignored", "clusters", "line 1, document a1", "no entities or relations"),
        ("dropped", "entities", entity, "overlaps a longer or earlier one"),
        ("dropped", "relations", relation, "an argument was dropped"),
    ]


def test_dygie_sentences_survive(tmp_path, nlp):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(DYGIE))
    done = convert(path, tmp_path)
    (doc,) = FORMATS["spacy"].read(done.path, nlp)
    assert [sent.text for sent in doc.sents] == ["Ann left old Oslo", "She loves Rome"]


def dygie(**changes):
    return json.dumps(DYGIE | changes)


ROW = "0\tAnn\tO\t{}\n"
BAD = {
    "multihead.txt": {
        "fields": ("#doc 7\n0 Ann\n", "D138", "document 7, line 2"),
        "index": ("#doc 7\n1\tAnn\tO\t['N']\t[0]\n", "D138", "line 2"),
        "tag": ("#doc 7\n0\tAnn\tX\t['N']\t[0]\n", "D138", "line 2"),
        "lists": ("#doc 7\n" + ROW.format("['N']\t[0, 1]"), "D138", "line 2"),
        "types": ("#doc 7\n" + ROW.format("[1]\t[0]"), "D138", "line 2"),
        "code": ("#doc 7\n" + ROW.format("exit()\t[0]"), "D138", "line 2"),
        "deep": ("#doc 7\n" + ROW.format("[" * 9000 + "\t[0]"), "D138", "line 2"),
        "truncated": (MULTIHEAD[:60], "D138", "line 3"),
        "no such head": ("#doc 7\n" + ROW.format("['R']\t[9]"), "D121", "document 7, relation"),
        "no documents": ("#doc 7\n", "D104", ""),
    },
    "ade.rel": {
        "fields": ("1|No B here.|No|0|2|B|3\n", "D140", "line 1"),
        "truncated": (ADE[:90], "D140", "line 2"),
        "no integer": (ADE + "1|No B here.|No|0|x|B|3|4\n", "D140", "line 7"),
        "end before begin": (ADE + "1|No B here.|No|2|0|B|3|4\n", "D140", "line 7"),
        "empty argument": (ADE + "1|No B here.||0|2|B|3|4\n", "D140", "line 7"),
        "empty": ("", "D104", ""),
    },
    "dygie.jsonl": {
        "truncated": (dygie()[:-9], "D110", "line 1"),
        "sentences a string": (dygie(sentences="x"), "D115", "'sentences'"),
        "a sentence a string": (dygie(sentences=["x"]), "D142", "sentence 0"),
        "a token a number": (dygie(sentences=[[1]]), "D142", "an integer"),
        "an empty token": (dygie(sentences=[[""]]), "D142", "an empty string"),
        "ner of one sentence": (dygie(ner=[[]]), "D143", "2 sentences"),
        "ner an object": (dygie(ner={}), "D115", "'ner'"),
        "a row too short": (dygie(ner=[[[0, 0]], []]), "D144", "sentence 0"),
        "a row a number": (dygie(ner=[[0], []]), "D144", "sentence 0"),
        "rows a number": (dygie(relations=[0, []]), "D144", "sentence 0"),
        "an offset a string": (dygie(relations=[[], [["0", 0, 1, 1, "R"]]]), "D144", "sentence 1"),
        "out of range": (
            dygie(ner=[[[5, 7, "Per"]], []]),
            "D118",
            "document a1, entity [5, 7, Per]",
        ),
        "negative": (dygie(ner=[[[-1, 2, "Per"]], []]), "D118", "the 7 tokens"),
        "end before start": (dygie(ner=[[[3, 1, "Per"]], []]), "D118", ""),
        "no such entity": (dygie(relations=[[[0, 0, 1, 1, "R"]], []]), "D121", "relation [0, 0, 1"),
        "empty label": (dygie(ner=[[[0, 0, " "]], []], relations=[]), "D124", "entity"),
    },
}


@pytest.mark.parametrize(
    ("name", "text", "code", "said"),
    [(name, *case) for name, cases in BAD.items() for case in cases.values()],
    ids=[f"{name} {case}" for name, cases in BAD.items() for case in cases],
)
def test_bad(tmp_path, name, text, code, said):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(app, ["convert", str(path), str(tmp_path / "a.spacy")])
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert f"[{code}] " in result.stderr
    assert str(path) in result.stderr
    assert said in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("format", ["multihead", "ade", "dygie", "spert", "markup"])
def test_bad_encoding(tmp_path, nlp, format):
    path = tmp_path / "a"
    path.write_bytes(b"#doc 1\n\xff\n")
    with pytest.raises(ValueError, match=r"^\[D(103|110|140)\] .*line (1|2)"):
        list(FORMATS[format].read(path, nlp))


def test_token_before_any_document(tmp_path, nlp):
    (tmp_path / "a").write_text("x\n")
    with pytest.raises(ValueError, match=r"^\[D137\] .*line 1"):
        list(FORMATS["multihead"].read(tmp_path / "a", nlp))
