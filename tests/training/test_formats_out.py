"""What goes out comes in again: every entity and relation, of any documents."""

import csv
import json

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin, Span

from spacy_deeper.relations import OVERLAPPING, get_relations, set_relations
from spacy_deeper.training.convert import convert
from spacy_deeper.training.formats import FORMATS
from spacy_deeper.training.records import Options, all_entities

NLP = spacy.blank("en")
WORDS = [
    "Ann",
    "Oslo",
    "50-to",
    "it's",
    "😀",
    "U.S.",
    "\n",
    "\r\n",
    "x\ty",
    '"',
    ",",
    "Zoë",
    "|",
    "#",
]
LABELS = st.sampled_from(["Per", "Loc", "Live_In", "Ä-b", "x:y", "T1"])
IDS = st.none() | st.integers(-(2**63), 2**63 - 1) | st.sampled_from(["a", "../b", "ü 1", "a.b"])


@st.composite
def documents(draw, tokenizer):
    words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=9))
    if tokenizer:
        spaces = draw(st.lists(st.sampled_from(["", " "]), min_size=9, max_size=9))
        doc = NLP("".join(map("".join, zip(words, spaces, strict=False))) + ".")
    else:
        doc = Doc(NLP.vocab, words=words)
    offsets = st.integers(0, len(doc) - 1)
    drawn = draw(st.lists(st.tuples(offsets, st.integers(1, 3), LABELS), max_size=5))
    spans = {(i, min(i + n, len(doc)), label) for i, n, label in drawn}
    # White space at an edge is no part of an entity.
    spans = [Span(doc, *span) for span in sorted(spans)]
    spans = [span for span in spans if not (span[0].is_space or span[-1].is_space)]
    doc.set_ents(kept := spacy.util.filter_spans(spans))
    if rest := [span for span in spans if span not in kept]:
        doc.spans[OVERLAPPING] = rest
    span = st.sampled_from(spans or [None])
    relations = {
        (h.start, h.end, t.start, t.end, label): (h, t, label)
        for h, t, label in draw(st.lists(st.tuples(span, span, LABELS), max_size=4 if spans else 0))
        if (h.start, h.end) != (t.start, t.end)
    }
    set_relations(doc, relations.values())
    if (id := draw(IDS)) is not None:
        doc.user_data["orig_id"] = id
    return doc


def annotations(doc):
    def key(span):
        return span.start_char, span.end_char, span.text, span.label_

    return (
        {key(span) for span in doc.ents},
        {key(span) for span in all_entities(doc)},
        {(key(r.head), key(r.tail), r.label) for r in get_relations(doc)},
    )


def there_and_back(docs, folder, to, name):
    DocBin(store_user_data=True, docs=docs).to_disk(folder / "in.spacy")
    out = convert(folder / "in.spacy", folder / name, to=to)
    assert not out.report.losses
    back = convert(out.path, folder / "back.spacy", to, options=Options("spans", "strict"))
    # Entities of the same length are kept in the order of the file, whichever doc.ents had.
    assert {loss.action for loss in back.report.losses} <= {"repaired"}
    assert out.report.read == out.report.written == back.report.read == back.report.written
    return list(FORMATS["spacy"].read(back.path, NLP))


@settings(max_examples=40)
@given(st.lists(documents(tokenizer=False), min_size=1, max_size=3))
def test_spert(tmp_path_factory, docs):
    back = there_and_back(docs, tmp_path_factory.mktemp("spert"), "spert", "a.jsonl")
    for before, after in zip(docs, back, strict=True):
        assert [token.text for token in after] == [token.text for token in before]
        assert annotations(after)[1:] == annotations(before)[1:]
        assert after.user_data.get("orig_id") == before.user_data.get("orig_id")


@settings(max_examples=40)
@given(st.lists(documents(tokenizer=True), min_size=1, max_size=3))
def test_brat(tmp_path_factory, docs):
    back = there_and_back(docs, tmp_path_factory.mktemp("brat"), "brat", "folder")
    for before, after in zip(docs, back, strict=True):
        assert after.text == before.text
        assert annotations(after)[1:] == annotations(before)[1:]


@pytest.fixture
def doc():
    doc = Doc(NLP.vocab, words=["Ann", "left", '"Oslo,"', "for", "Rome"])
    doc.set_ents([Span(doc, 0, 1, "Per"), Span(doc, 2, 3, "a Loc"), Span(doc, 4, 5, "Loc")])
    set_relations(doc, [(doc.ents[0], doc.ents[1], "Left it", 0.5)])
    return doc


@pytest.fixture
def spacy_file(tmp_path, doc):
    path = tmp_path / "in.spacy"
    DocBin(store_user_data=True, docs=[Doc(NLP.vocab), doc]).to_disk(path)
    return path


ROW = {
    "doc": 1,
    "head_text": "Ann",
    "head_start": 0,
    "head_end": 3,
    "head_type": "Per",
    "label": "Left it",
    "tail_text": '"Oslo,"',
    "tail_start": 9,
    "tail_end": 16,
    "tail_type": "a Loc",
    "score": 0.5,
}
NO_TEXT = ("dropped", "documents", "no text")


def test_triples(tmp_path, spacy_file):
    for name in ("a.csv", "a.jsonl"):
        done = convert(spacy_file, tmp_path / name, to="triples")
        assert done.report.written == {"documents": 1, "entities": 2, "relations": 1}
        reason = "in no relation, and triples are relations"
        assert done.report.reasons() == {NO_TEXT: 1, ("ignored", "entities", reason): 1}
    with (tmp_path / "a.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [{key: str(value) for key, value in ROW.items()}]
    assert json.loads((tmp_path / "a.jsonl").read_text()) == ROW
    assert convert(spacy_file, tmp_path / "b.csv").docs == 1  # the suffix says triples


def test_brat_files(tmp_path, spacy_file, doc):
    done = convert(spacy_file, tmp_path / "brat", to="brat")
    assert sorted(path.name for path in done.path.iterdir()) == ["000001.ann", "000001.txt"]
    assert (done.path / "000001.txt").read_text() == doc.text
    assert (done.path / "000001.ann").read_text().splitlines() == [
        "T1\tPer 0 3\tAnn",
        'T2\ta_Loc 9 16\t"Oslo,"',
        "T3\tLoc 21 25\tRome",
        "R1\tLeft_it Arg1:T1 Arg2:T2",
    ]
    reason = "brat's labels have no white space: replaced by _"
    assert done.report.reasons() == {
        NO_TEXT: 1,
        ("repaired", "entities", reason): 1,
        ("repaired", "relations", reason): 1,
    }
    with pytest.raises(ValueError, match=r"^\[D106\]"):  # the folder is not empty
        convert(spacy_file, tmp_path / "brat", to="brat")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["brat", "in.spacy"]


def test_no_type(tmp_path):
    doc = Doc(NLP.vocab, words=["Ann", "left", "Oslo"])
    doc.set_ents([Span(doc, 0, 1, "Per")])
    set_relations(doc, [(doc.ents[0], doc[2:3], "Left")])
    DocBin(store_user_data=True, docs=[doc]).to_disk(tmp_path / "in.spacy")
    done = convert(tmp_path / "in.spacy", tmp_path / "a.jsonl", to="spert")
    assert done.report.written == {"documents": 1, "entities": 1, "relations": 0}
    assert done.report.reasons() == {
        ("dropped", "entities", "no type"): 1,
        ("dropped", "relations", "an argument was dropped"): 1,
    }


@pytest.mark.parametrize(
    ("name", "to", "code"),
    [("a.jsonl", None, "D155"), ("a.csv", "spert", "D105"), ("a", "x", "D101")],
)
def test_bad_output(tmp_path, spacy_file, name, to, code):
    with pytest.raises(ValueError, match=rf"^\[{code}\]"):
        convert(spacy_file, tmp_path / name, to=to)
    assert list(tmp_path.iterdir()) == [spacy_file]
