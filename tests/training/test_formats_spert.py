import json
import os
from collections import Counter
from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin

from spacy_deeper.relations import get_relations
from spacy_deeper.training.convert import convert
from spacy_deeper.training.formats import FORMATS

ROOT = Path(__file__).parents[2]
read = FORMATS["spert"].read
DATA = Path(os.environ.get("SPACY_DEEPER_DATA", ROOT.parent / "shared" / "data"))

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


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("en")


def check_record(doc):
    assert [token.text for token in doc] == RECORD["tokens"]
    assert doc.has_unknown_spaces
    assert doc.has_annotation("ENT_IOB")
    assert [(e.text, e.label_, e.start) for e in doc.ents] == [
        ("Ann Berg", "Per", 0),
        ("Oslo", "Loc", 3),
        ("Oslo", "Loc", 5),
    ]
    assert [(r.head.start, r.label, r.tail.start) for r in get_relations(doc)] == [
        (0, "Left", 3),
        (0, "Live_In", 5),
        (0, "Work_In", 5),
    ]
    assert [(r.head.label_, r.tail.label_) for r in get_relations(doc)] == [("Per", "Loc")] * 3
    assert doc.user_data["orig_id"] == 7


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_read_json(tmp_path, nlp, encoding):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([RECORD, EMPTY]), encoding=encoding)
    first, second = read(path, nlp)
    check_record(first)
    assert second.text.strip() == "Hm"
    assert second.has_annotation("ENT_IOB")
    assert not second.ents
    assert not get_relations(second)
    assert "orig_id" not in second.user_data


def test_read_json_lines(tmp_path, nlp):
    path = tmp_path / "a.jsonl"
    path.write_text(f"{json.dumps(RECORD)}\n\n{json.dumps(EMPTY)}\n")
    first, second = read(path, nlp)
    check_record(first)
    assert len(second) == 1


@pytest.mark.parametrize(
    ("split", "docs", "ents", "relations"), [("train", 922, 3377, 1283), ("dev", 231, 893, 343)]
)
def test_conll04(tmp_path, nlp, split, docs, ents, relations):
    path = DATA / "conll04" / f"conll04_{split}.json"
    if not path.is_file():
        pytest.skip(f"no real data at {path}: set SPACY_DEEPER_DATA to the folder of conll04/")
    done = convert(path, tmp_path / "a.spacy")
    loaded = list(DocBin().from_disk(done.path).get_docs(nlp.vocab))
    assert len(loaded) == done.docs == docs
    assert sum(len(doc.ents) for doc in loaded) == done.ents.total() == ents
    assert sum(len(get_relations(doc)) for doc in loaded) == done.relations.total() == relations
    records = json.loads(path.read_text(encoding="utf-8"))
    for doc, record in zip(loaded, records, strict=True):
        assert [token.text for token in doc] == record["tokens"]
        assert doc.has_unknown_spaces
        assert doc.user_data["orig_id"] == record["orig_id"]
        spans = [(e["start"], e["end"], e["type"]) for e in record["entities"]]
        assert sorted((e.start, e.end, e.label_) for e in doc.ents) == sorted(spans)
        assert Counter(
            (
                (r.head.start, r.head.end, r.head.label_),
                r.label,
                (r.tail.start, r.tail.end, r.tail.label_),
            )
            for r in get_relations(doc)
        ) == Counter((spans[r["head"]], r["type"], spans[r["tail"]]) for r in record["relations"])


def test_formats_say_their_suffixes():
    assert FORMATS["spert"].suffixes == (".json", ".jsonl")
    assert FORMATS["markup"].suffixes == (".txt",)
