"""The exports of annotation tools: Prodigy, Label Studio, doccano and brat."""

import json

import pytest
import spacy
from typer.testing import CliRunner

from spacy_deeper.cli import app
from spacy_deeper.relations import get_relations
from spacy_deeper.training.formats import FORMATS
from spacy_deeper.training.formats.guess import guess
from spacy_deeper.training.formats.util import Source
from spacy_deeper.training.report import Report


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("en")


def read(path, nlp, format):
    assert guess(Source.of(path)) == format
    report = Report()
    docs = list(FORMATS[format].read(path, nlp, report=report))
    ents = [[(ent.text, ent.label_) for ent in doc.ents] for doc in docs]
    links = [[(r.head.text, r.label, r.tail.text) for r in get_relations(doc)] for doc in docs]
    losses = [(loss.action, loss.what, loss.place, loss.reason) for loss in report.losses]
    return docs, ents, links, losses


def write_json(tmp_path, values, lines=True):
    path = tmp_path / ("a.jsonl" if lines else "a.json")
    text = "\n".join(map(json.dumps, values)) if lines else json.dumps(values, indent=1)
    path.write_text(text, encoding="utf-8")
    return path


TEXT = "Ann left Oslo for Rome."
ENTS = [("Ann", "Per"), ("Oslo", "Loc"), ("Rome", "Loc")]


def prodigy(**changes):
    starts = {"Ann": 0, "left": 4, "Oslo": 9, "for": 14, "Rome": 18, ".": 22}
    spans = [
        {"start": 0, "end": 3, "token_start": 0, "token_end": 0, "label": "Per"},
        {"start": 9, "end": 13, "token_start": 2, "token_end": 2, "label": "Loc"},
        {"start": 18, "end": 22, "token_start": 4, "token_end": 4, "label": "Loc"},
    ]
    task = {
        "text": TEXT,
        "_input_hash": 12,
        "_task_hash": -34,
        "tokens": [
            {"text": text, "start": i, "end": i + len(text), "id": n, "ws": n != 5}
            for n, (text, i) in enumerate(starts.items())
        ],
        "spans": spans,
        "relations": [
            {
                "head": 0,
                "child": 2,
                "head_span": spans[0],
                "child_span": spans[1],
                "color": "#c5bdf4",
                "label": "Left",
            },
            {"head": 0, "child": 4, "label": "Move"},
        ],
        "_view_id": "relations",
        "answer": "accept",
    }
    return task | changes


def test_prodigy(tmp_path, nlp):
    token = {"start": 4, "end": 8, "token_start": 1, "token_end": 1, "label": None}
    to_token = {"head": 0, "child": 1, "label": "R", "head_span": prodigy()["spans"][0]}
    tasks = [
        prodigy(),
        prodigy(answer="reject"),
        prodigy(answer="ignore", spans=None),
        prodigy(spans=[*prodigy()["spans"], token], relations=[to_token | {"child_span": token}]),
        {"text": TEXT, "spans": [], "answer": "accept"},
    ]
    docs, ents, links, losses = read(write_json(tmp_path, tasks), nlp, "prodigy")
    assert ents == [ENTS, ENTS, []]
    assert links == [[("Ann", "Left", "Oslo"), ("Ann", "Move", "Rome")], [], []]
    assert docs[0].text == TEXT
    assert docs[0].user_data["orig_id"] == -34
    assert losses == [
        ("ignored", "documents", "line 2", "the answer is 'reject'"),
        ("ignored", "documents", "line 3", "the answer is 'ignore'"),
        ("ignored", "spans", "line 4, span 3", "no label, so no entity"),
        ("dropped", "relations", "line 4, relation 0", "an argument is no entity"),
    ]


def doccano(**changes):
    value = {
        "id": 7,
        "text": TEXT,
        "entities": [
            {"id": 3, "label": "Loc", "start_offset": 18, "end_offset": 23},
            {"id": 1, "label": "Per", "start_offset": 0, "end_offset": 4},
            {"id": 2, "label": "Loc", "start_offset": 9, "end_offset": 13},
        ],
        "relations": [{"id": 5, "from_id": 1, "to_id": 2, "type": "Left"}],
        "Comments": [],
    }
    return value | changes


def test_doccano(tmp_path, nlp):
    tasks = [doccano(), {"id": 8, "text": "", "entities": [], "relations": []}]
    docs, ents, links, losses = read(write_json(tmp_path, tasks), nlp, "doccano")
    assert ents == [[("Ann", "Per"), ("Oslo", "Loc"), ("Rome.", "Loc")]]
    assert links == [[("Ann", "Left", "Oslo")]]
    assert docs[0].user_data["orig_id"] == 7
    assert losses == [
        ("repaired", "entities", "line 1, entity with the id 1", "white space cut off its edges"),
        ("dropped", "documents", "line 2", "no text"),
    ]


def region(id, start, end, text, *labels, type="labels"):
    value = {"start": start, "end": end, "text": text, "labels": list(labels)}
    names = {"from_name": "label", "to_name": "text", "origin": "manual"}
    return {"value": value, "id": id, "type": type, **names}


def relation(head, tail, direction, *labels):
    ids = {"from_id": head, "to_id": tail}
    return {**ids, "type": "relation", "direction": direction, "labels": list(labels)}


RESULT = [
    relation("a", "b", "right", "Left"),
    region("a", 0, 3, "Ann", "Per"),
    region("b", 9, 13, "Oslo", "Loc"),
]


def task(result=RESULT, text=TEXT, **changes):
    annotation = {"id": 1, "was_cancelled": False, "ground_truth": False, "result": result}
    value = {"id": 7, "data": {"text": text}, "annotations": [annotation], "predictions": []}
    return value | changes


CANCELLED = {"was_cancelled": True, "result": []}


def test_labelstudio(tmp_path, nlp):
    more = [
        region("c", 18, 22, "Rome", "Loc", "Org"),
        region("d", 4, 8, "left"),
        relation("b", "c", "bi", "Near"),
        relation("a", "c", "left", "Seen"),
        relation("a", "b", "right"),
        relation("a", "d", "bi", "Left", "Saw"),
        {"type": "choices", "id": "x", "value": {"choices": ["good"]}},
    ]
    truth = {"ground_truth": True, "result": [region("a", 9, 13, "Oslo", "City")]}
    tasks = [
        task(),
        task(RESULT + more, id=8),
        task(annotations=[CANCELLED, {"result": RESULT}, truth], id=9),
        task(annotations=[CANCELLED], id=10),
        task(annotations=[], id=11),
        {"id": 12, "data": {"title": TEXT}, "completions": [{"result": RESULT}]},
    ]
    docs, ents, links, losses = read(write_json(tmp_path, tasks, lines=False), nlp, "labelstudio")
    assert ents == [ENTS[:2], ENTS, [("Oslo", "City")], ENTS[:2]]
    left = ("Ann", "Left", "Oslo")
    assert links == [
        [left],
        [left, ("Oslo", "Near", "Rome"), ("Rome", "Near", "Oslo"), ("Rome", "Seen", "Ann")],
        [],
        [left],
    ]
    assert [doc.user_data["orig_id"] for doc in docs] == [7, 8, 9, 12]
    here = "record 1, task 8"
    both = ("repaired", "relations", f"{here}, result 5", "has both directions: made two relations")
    no_annotation = "no annotation that was not cancelled"
    assert losses == [
        ("dropped", "entities", f"{here}, result 4", "no label"),
        ("ignored", "results", f"{here}, result 9", "no entity or relation"),
        both,
        ("dropped", "relations", f"{here}, result 7", "no label"),
        *[("dropped", "relations", f"{here}, result 8", "an argument is no entity")] * 2,
        ("dropped", "entities", f"{here}, region c", "overlaps a longer or earlier one"),
        ("ignored", "annotations", "record 2, task 9, annotation 0", "was cancelled"),
        (
            "dropped",
            "annotations",
            "record 2, task 9, annotation 1",
            "the task has another one, the ground truth or the first",
        ),
        ("ignored", "annotations", "record 3, task 10, annotation 0", "was cancelled"),
        ("ignored", "documents", "record 3, task 10", no_annotation),
        ("ignored", "documents", "record 4, task 11", no_annotation),
    ]


def test_labelstudio_counts_utf16(tmp_path, nlp):
    regions = [region("a", 3, 6, "Ann", "Per"), region("b", 12, 17, "😀 Os", "Loc")]
    path = write_json(tmp_path, [task(regions, "😀 Ann left 😀 Os")], lines=False)
    _, ents, _, losses = read(path, nlp, "labelstudio")
    assert ents == [[("Ann", "Per"), ("😀 Os", "Loc")]]
    assert [reason for *_, reason in losses] == ["its offsets count UTF-16 units"] * 2


BRAT_TEXT = "Ännchen left\r\nold Oslo and Rome.\n"
BRAT = """\
T1\tPer 0 7\tÄnnchen
T2\tLoc 18 22\tOslo
T3\tLoc 14 17;27 31\told Rome
T4\tVerb 8 12;14 17\tleft old
R1\tLeft Arg2:T2 Arg1:T1\t
R2\tSee Arg1:T1 Arg2:T4
A1\tNegated T1
#1\tAnnotatorNotes T1\tsure?
N1\tReference T1 Wikipedia:1\tAnn
*\tEquiv T1 T2
"""


def write_brat(folder, text=BRAT_TEXT, ann=BRAT, name="a"):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / f"{name}.ann").write_bytes(ann if isinstance(ann, bytes) else ann.encode())
    return folder / f"{name}.ann"


@pytest.mark.parametrize("suffix", [".ann", ".txt"])
@pytest.mark.parametrize("bom", [False, True])
def test_brat(tmp_path, nlp, suffix, bom):
    path = write_brat(tmp_path)
    if bom:  # which brat counts
        write_brat(tmp_path, b"\xef\xbb\xbf " + BRAT_TEXT.encode()[3:], BRAT.split("\n")[1])
        _, ents, _, _ = read(path, nlp, "brat")
        assert ents == [[("Oslo", "Loc")]]
        return
    docs, ents, links, losses = read(path.with_suffix(suffix), nlp, "brat")
    assert docs[0].text == BRAT_TEXT
    assert docs[0].user_data["orig_id"] == "a"
    assert ents == [[("Ännchen", "Per"), ("old Oslo and Rome", "Loc")]]
    assert links == [[]]
    assert [loss[:3] for loss in losses] == [
        ("repaired", "entities", "line 3"),
        ("ignored", "attributes", "line 7"),
        ("ignored", "notes", "line 8"),
        ("ignored", "normalizations", "line 9"),
        ("ignored", "equivalences", "line 10"),
        ("dropped", "entities", "entity T2 on line 2"),
        ("dropped", "entities", "entity T4 on line 4"),
        ("dropped", "relations", "relation R1 on line 5"),
        ("dropped", "relations", "relation R2 on line 6"),
    ]


def test_brat_folder(tmp_path):
    write_brat(tmp_path / "in", "Ann met Bo.", "T1\tPer 0 3\tAnn\nT2\tPer 8 10\tBo\n")
    write_brat(tmp_path / "in", "Hm.", "", "b")
    (tmp_path / "in" / "annotation.conf").write_text("[entities]\nPer\n")
    (tmp_path / "in" / "README.txt").write_text("Read [me](you).\n")
    (tmp_path / "in" / "stats.json").write_text('{"a": 1}')
    result = CliRunner().invoke(app, ["convert", str(tmp_path / "in"), str(tmp_path / "a.spacy")])
    assert result.exit_code == 0
    assert "documents: 2" in result.stdout
    write_json(tmp_path / "in", [prodigy()])
    result = CliRunner().invoke(app, ["convert", str(tmp_path / "in"), str(tmp_path / "b.spacy")])
    assert result.exit_code == 1
    assert "[D102]" in result.stderr
    assert "brat, prodigy" in result.stderr


def bad_span(**changes):
    return prodigy(spans=[{"start": 0, "end": 3, "label": "Per"} | changes], relations=[])


def bad_link(**changes):
    return prodigy(relations=[{"head": 0, "child": 2, "label": "R"} | changes])


def bad_entity(**changes):
    return doccano(entities=[doccano()["entities"][0] | changes])


def bad_relation(**changes):
    return doccano(relations=[doccano()["relations"][0] | changes])


def bad_result(*more, **changes):
    return task([*RESULT, *more, *([RESULT[1] | changes] if changes else [])])


BAD_JSON = {
    "prodigy": {
        "no text": ({"spans": [], "answer": "accept"}, "D113", "'text'"),
        "text a number": (prodigy(text=1), "D115", "'text'"),
        "spans a string": (prodigy(spans="x"), "D115", "'spans'"),
        "token a number": (prodigy(tokens=[1]), "D112", "token 0"),
        "other tokens": (prodigy(tokens=prodigy()["tokens"][:2], relations=[]), "D148", "line 2"),
        "start missing": (prodigy(spans=[{"end": 3}]), "D113", "span 0"),
        "out of range": (bad_span(end=99), "D118", "span 0"),
        "negative": (bad_span(start=-1), "D118", "the 23 characters"),
        "start a string": (bad_span(start="0"), "D115", "an integer"),
        "label a number": (bad_span(label=1), "D115", "'label'"),
        "child out of range": (bad_link(child=6), "D145", "'child' is 6"),
        "head negative": (bad_link(head=-1), "D145", "relation 0"),
        "relation label null": (bad_link(label=None), "D115", "relation 0"),
        "relation label empty": (bad_link(label=""), "D124", "relation 0"),
        "head_span a list": (bad_link(head_span=[]), "D115", "'head_span'"),
        "head_span empty": (bad_link(head_span={}), "D113", "head_span"),
    },
    "doccano": {
        "no text": ({"entities": []}, "D113", "'text'"),
        "no id": (doccano(entities=[{"label": "x"}]), "D113", "entity 0"),
        "id a string": (bad_entity(id="1"), "D115", "'id'"),
        "same id": (doccano(entities=doccano()["entities"][:1] * 2), "D146", "the id 3"),
        "out of range": (bad_entity(end_offset=24), "D118", "entity with the id 3"),
        "label empty": (bad_entity(label=""), "D124", "entity with the id 3"),
        "dangling": (bad_relation(to_id=9), "D121", "'tail' is 9"),
        "relations an object": (doccano(relations={}), "D115", "'relations'"),
        "relation a number": (doccano(relations=[1]), "D112", "relation 0"),
    },
    "labelstudio": {
        "no data": ({"id": 7, "annotations": []}, "D113", "'data'"),
        "no text": (task(data={"image": "a", "title": "b"}), "D147", "image, title"),
        "annotations an object": (task(annotations={}), "D115", "'annotations'"),
        "annotation a number": (task(annotations=[1]), "D112", "annotation 0"),
        "no result": (task(annotations=[{}]), "D113", "'result'"),
        "result a number": (task([1]), "D112", "result 0"),
        "no type": (bad_result({}), "D113", "'type'"),
        "no value": (bad_result({"type": "labels", "id": "z"}), "D113", "'value'"),
        "start a string": (bad_result(region("z", "0", 3, "Ann", "Per")), "D115", "'start'"),
        "no start": (bad_result(id="z", value={"end": 1}), "D113", "result 3"),
        "same id": (bad_result(RESULT[1]), "D149", "'a'"),
        "out of range": (bad_result(region("z", 0, 99, "Ann", "Per")), "D118", "region z"),
        "other text": (bad_result(region("z", 0, 3, "Bo", "Per")), "D119", "'Bo'"),
        "labels of numbers": (bad_result(region("z", 0, 3, "Ann", 1)), "D122", "result 3"),
        "label empty": (bad_result(region("z", 0, 3, "Ann", " ")), "D124", "region z"),
        "dangling": (bad_result(relation("a", "z", "right", "R")), "D121", "'tail' is 'z'"),
        "direction": (bad_result(relation("a", "b", "up", "R")), "D120", "'up'"),
        "no from_id": (bad_result({"type": "relation", "to_id": "a"}), "D113", "'from_id'"),
    },
}
GOOD_JSON = {"prodigy": prodigy(), "doccano": doccano(), "labelstudio": task()}


def check_fails(tmp_path, path, code, *said, format=None):
    before = sorted(tmp_path.iterdir())
    args = ["convert", str(path), str(tmp_path / "a.spacy")]
    result = CliRunner().invoke(app, args + (["--from", format] if format else []))
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert f"[{code}] " in result.stderr
    for text in (str(path), *said):
        assert text in result.stderr
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("format", "value", "code", "said"),
    [(name, *case) for name, cases in BAD_JSON.items() for case in cases.values()],
    ids=[f"{name} {case}" for name, cases in BAD_JSON.items() for case in cases],
)
def test_bad_json(tmp_path, format, value, code, said):
    path = write_json(tmp_path, [GOOD_JSON[format], value])
    check_fails(tmp_path, path, code, "line 2", said)


def test_no_unicode(tmp_path):
    path = write_json(tmp_path, [prodigy(), prodigy(text="\ud800", answer="ignore")])
    report = tmp_path / "report.jsonl"
    args = ["convert", str(path), str(tmp_path / "a.spacy"), "--report", str(report)]
    assert CliRunner().invoke(app, args).exit_code == 0
    assert json.loads(report.read_text(encoding="utf-8"))["item"] == "\ud800"
    path = write_json(tmp_path, [{"doc_key": "\ud800", "sentences": 3}])
    check_fails(tmp_path, path, "D115", "document \\ud800")


@pytest.mark.parametrize("format", BAD_JSON)
def test_bad_json_file(tmp_path, format):
    text = json.dumps(GOOD_JSON[format])
    path = tmp_path / "a.jsonl"
    for content, code, said in (
        (f"{text}\n{text[:-9]}".encode(), "D110", "line 2"),
        (f"{text}\n".encode() + b"\xff", "D103", "line 2"),
        (f"{text}\n[]".encode(), "D112", "line 2"),
        (f"{text}\n{'[' * 100_000}".encode(), "D110", "line 2"),
        (text.replace("Ann", "\\ud800nn").encode(), "D125", "line 1"),
        (b"", "D104", ""),
        (b"\n \n", "D104", ""),
    ):
        path.write_bytes(content)
        # As what stands in the text differs, so does its region.
        if code == "D125" and format == "labelstudio":
            continue
        check_fails(tmp_path, path, code, said, format=format)


BAD_BRAT = {
    "event": ("E1\tAttack:T1 Victim:T2\n", "D139", "E1 is an event ('Attack')"),
    "dangling": ("R1\tLeft Arg1:T1 Arg2:T9\n", "D121", "relation R1 on line 11"),
    "out of range": ("T9\tLoc 18 99\tOslo\n", "D118", "entity T9 on line 11"),
    "empty": ("T9\tLoc 18 18\t\n", "D118", "entity T9"),
    "other text": ("T9\tLoc 17 21\tOslo\n", "D132", "line 11"),
    "no offsets": ("T9\tLoc\tOslo\n", "D141", "line 11"),
    "no integer": ("T9\tLoc 1 x\tOslo\n", "D141", "line 11"),
    "negative": ("T9\tLoc -1 4\tOslo\n", "D141", "line 11"),
    "no id": ("\tLoc 1 2\tOslo\n", "D141", "line 11"),
    "no arguments": ("R9\tLeft\n", "D141", "line 11"),
    "one argument": ("R9\tLeft Arg1:T1\n", "D141", "line 11"),
    "other roles": ("R9\tLeft Arg1:T1 Arg3:T2\n", "D141", "line 11"),
    "same id": ("T1\tPer 0 7\tÄnnchen\n", "D123", "'T1'"),
    "no annotation": ("Oslo is in Norway\n", "D141", "'Oslo is in Norway'"),
    "truncated": ("T9", "D141", "line 11"),
    "encoding": (b"T9\t\xff\n", "D103", "line 11"),
}


@pytest.mark.parametrize(("line", "code", "said"), BAD_BRAT.values(), ids=BAD_BRAT)
def test_bad_brat(tmp_path, line, code, said):
    line = line if isinstance(line, bytes) else line.encode()
    path = write_brat(tmp_path, ann=BRAT.encode() + line)
    check_fails(tmp_path, path, code, said)


def test_bad_brat_text(tmp_path):
    path = write_brat(tmp_path, text=b"\xff")
    check_fails(tmp_path, path.with_suffix(".txt"), "D103")
    path.with_suffix(".txt").unlink()
    check_fails(tmp_path, path.with_suffix(".txt"), "D100", format="brat")
    write_brat(tmp_path, text="", ann="")
    check_fails(tmp_path, path, "D104")
