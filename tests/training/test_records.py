"""What does not fit into a doc is repaired or dropped, and always said."""

import pytest
import spacy
from spacy.tokens import DocBin

from spacy_deeper.relations import get_relations
from spacy_deeper.training.records import Entity, Link, Options, Record, make_doc
from spacy_deeper.training.report import Place, Report

AT = Place("a.json", "record 1")
TEXT = "Ann Berg left old Oslo."


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("en")


def make(nlp, entities, relations=(), **options):
    record = Record(AT, TEXT, id="x")
    record.entities = {i: Entity(*entity, f"entity {i}") for i, entity in enumerate(entities)}
    record.relations = [Link(*link, f"relation {i}") for i, link in enumerate(relations)]
    report = Report()
    doc = make_doc(record, nlp, Options(**options), report)
    assert report.read == {
        "documents": 1,
        "entities": len(entities),
        "relations": len(relations),
    }
    ents = [(ent.text, ent.label_) for ent in doc.ents]
    links = [(r.head.text, r.label, r.tail.text) for r in get_relations(doc)]
    losses = [(loss.action, loss.place, loss.reason) for loss in report.losses]
    assert all(loss.file == "a.json" and loss.item for loss in report.losses)
    return doc, ents, links, losses


ANN, BERG, OSLO, OLD_OSLO = (0, 8, "Per"), (4, 8, "Per"), (18, 22, "Loc"), (14, 22, "Loc")


def test_nothing_lost(nlp):
    doc, ents, links, losses = make(nlp, [OSLO, ANN], [(1, 0, "Left")])
    assert doc.text == TEXT
    assert ents == [("Ann Berg", "Per"), ("Oslo", "Loc")]
    assert links == [("Ann Berg", "Left", "Oslo")]
    assert losses == []
    assert doc.user_data["orig_id"] == "x"


OVERLAP = ([ANN, OSLO, OLD_OSLO, BERG], [(0, 1, "Left"), (0, 2, "Left"), (3, 1, "In")])


def test_longest(nlp):
    doc, ents, links, losses = make(nlp, *OVERLAP)
    assert ents == [("Ann Berg", "Per"), ("old Oslo", "Loc")]
    assert links == [("Ann Berg", "Left", "old Oslo")]
    assert losses == [
        ("dropped", "record 1, entity 1", "overlaps a longer or earlier one"),
        ("dropped", "record 1, entity 3", "overlaps a longer or earlier one"),
        ("dropped", "record 1, relation 0", "an argument was dropped"),
        ("dropped", "record 1, relation 2", "an argument was dropped"),
    ]
    assert "overlapping" not in doc.spans


def test_overlapping_spans(nlp):
    doc, ents, links, losses = make(nlp, *OVERLAP, overlap="spans")
    doc_bin = DocBin(store_user_data=True, docs=[doc])
    (doc,) = DocBin().from_bytes(doc_bin.to_bytes()).get_docs(nlp.vocab)
    assert ents == [("Ann Berg", "Per"), ("old Oslo", "Loc")]
    assert [(s.text, s.label_) for s in doc.spans["overlapping"]] == [
        ("Oslo", "Loc"),
        ("Berg", "Per"),
    ]
    assert links == [
        ("Ann Berg", "Left", "Oslo"),
        ("Ann Berg", "Left", "old Oslo"),
        ("Berg", "In", "Oslo"),
    ]
    assert [action for action, *_ in losses] == ["repaired"] * 2


def test_same_length_keeps_the_first(nlp):
    _, ents, _, losses = make(nlp, [(*OSLO[:2], "Org"), OSLO])
    assert ents == [("Oslo", "Org")]
    assert losses[0][1] == "record 1, entity 1"


def test_repeated(nlp):
    links = [(0, 1, "Left"), (0, 2, "Left"), (1, 2, "Same")]
    _, ents, links, losses = make(nlp, [ANN, OSLO, OSLO], links)
    assert ents == [("Ann Berg", "Per"), ("Oslo", "Loc")]
    assert links == [("Ann Berg", "Left", "Oslo")]
    assert losses == [
        ("dropped", "record 1, entity 2", "repeats another entity"),
        ("dropped", "record 1, relation 1", "repeats another relation"),
        ("dropped", "record 1, relation 2", "its arguments are the same words"),
    ]


@pytest.mark.parametrize(
    ("mode", "ents", "loss"),
    [
        ("expand", [("old Oslo", "Loc")], ("repaired", "cuts a token: expanded to whole tokens")),
        ("contract", [("old", "Loc")], ("repaired", "cuts a token: contracted to whole tokens")),
        ("strict", [], ("dropped", "cuts a token")),
    ],
)
def test_align(nlp, mode, ents, loss):
    _, found, _, losses = make(nlp, [(14, 20, "Loc")], align=mode)
    assert found == ents
    assert losses == [(loss[0], "record 1, entity 0", loss[1])]


def test_align_to_nothing(nlp):
    _, found, _, losses = make(nlp, [(19, 20, "Loc"), OSLO], [(0, 1, "R")], align="contract")
    assert found == [("Oslo", "Loc")]
    assert [reason for *_, reason in losses] == [
        "no whole token inside of it",
        "an argument was dropped",
    ]


def test_white_space(nlp):
    _, found, _, losses = make(nlp, [(8, 14, "V"), (8, 9, "V")], align="strict")
    assert found == [("left", "V")]
    assert [(action, reason) for action, _, reason in losses] == [
        ("repaired", "white space cut off its edges"),
        ("dropped", "only white space"),
    ]


def test_no_text(nlp):
    report = Report()
    assert make_doc(Record(AT, ""), nlp, Options(), report) is None
    assert [(loss.action, loss.what, loss.reason) for loss in report.losses] == [
        ("dropped", "documents", "no text")
    ]


@pytest.mark.parametrize("words", [["Ann", "'s", "in", "Oslo"], ["Ann's", " ", "in", "Oslo"]])
def test_words_and_text(nlp, words):
    record = Record(AT, "Ann's  in Oslo", words, {"a": Entity(10, 14, "Loc", "entity a")})
    doc = make_doc(record, nlp, Options(), Report())
    assert doc.text == record.text
    assert [ent.text for ent in doc.ents] == ["Oslo"]


BAD = {
    "D118": Record(AT, TEXT, entities={0: Entity(5, 99, "Per", "entity 0")}),
    "D121": Record(AT, TEXT, relations=[Link("T1", "T2", "R", "relation R1")]),
    "D124": Record(AT, TEXT, entities={0: Entity(0, 3, " ", "entity 0")}),
    "D125": Record(AT, "\ud800"),
    "D126": Record(AT, "x " * 600_000),
    "D148": Record(AT, TEXT, ["Bo"]),
}


@pytest.mark.parametrize(("code", "record"), BAD.items())
def test_broken(nlp, code, record):
    with pytest.raises(ValueError, match=rf"^\[{code}\] a\.json, record 1"):
        make_doc(record, nlp, Options(), Report())


@pytest.mark.parametrize("options", [{"overlap": "x"}, {"align": "x"}])
def test_bad_options(options):
    with pytest.raises(ValueError, match="D108"):
        Options(**options)


def test_huge_id(nlp):
    record = Record(AT, TEXT, id=2**70)
    doc = make_doc(record, nlp, Options(), Report())
    assert DocBin(store_user_data=True, docs=[doc]).to_bytes()
    assert doc.user_data["orig_id"] == str(2**70)
