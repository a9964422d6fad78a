import json
import os
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_deeper.relations import USER_DATA_KEY, set_relations
from spacy_deeper.training.convert import convert
from spacy_deeper.training.debug_data import FEW, MAX_REPEATS, analyse, histogram

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("SPACY_DEEPER_DATA", ROOT.parent / "shared" / "data"))

VOCAB = Vocab()


def make(text, ents=(), relations=None, **kwargs):
    """Make a doc: entities are (start, end, label), relations (head, tail, label) of such spans."""
    doc = Doc(VOCAB, words=text.split(" "), **kwargs)
    doc.set_ents([Span(doc, *ent) for ent in ents], default="outside")
    if relations is not None:
        spans = [(Span(doc, *head), Span(doc, *tail), label) for head, tail, label in relations]
        set_relations(doc, spans)
    return doc


ANN, BO, OSLO = (0, 1, "Per"), (2, 3, "Per"), (2, 3, "Loc")


def lives(text="Ann in Oslo", **kwargs):
    return make(text, [ANN, OSLO], [(ANN, OSLO, "Live")], **kwargs)


def finding(name, *docs, dev=None, **kwargs):
    splits = {"train": docs} | ({} if dev is None else {"dev": dev})
    found = [f for f in analyse(splits, **kwargs).findings if f.name == name]
    assert len(found) == 1, f"{len(found)} findings {name}"
    return found[0]


def check(name, level, bad, good=None, details=None, **kwargs):
    """Check that a finding is made of a bad doc, at its place, and that a good one is fine."""
    good = lives() if good is None else good
    found = finding(name, good, bad, **kwargs)
    assert found.level == level
    assert found.counts == {"train": len(found.places)}
    assert found.advice
    text = " ".join(bad.text.split())
    assert {place[:3] for place in found.places} == {("train", 1, text)}
    if details is None:
        assert len(found.places) == 1
    else:
        assert [place.detail for place in found.places] == details
    fine = finding(name, good, **kwargs)
    assert (fine.level, fine.places, fine.advice) == ("good", [], "")


def test_counts():
    second = make("Ann Bo saw me and Cy .", [ANN, (1, 2, "Per"), (5, 6, "Org")], [])
    empty = make("Nothing here")
    split = analyse({"train": [lives(), second, empty]}).train
    assert (split.docs, split.tokens, split.longest_doc) == (3, 12, 7)
    assert split.ents == {"Per": 3, "Loc": 1, "Org": 1}
    assert split.relations == {"Live": 1}
    assert split.signatures == {("Per", "Live", "Loc"): 1}
    assert (split.docs_without_ents, split.docs_without_relations) == (1, 2)
    assert split.docs_with_relations_set == 2
    assert (split.pairs, split.related_pairs) == (2 * 1 + 3 * 2, 1)
    assert split.distances == {1: 1}


def test_pairs_count_what_the_scorer_trains_on():
    other = (1, 3, "Loc")
    doc = make("Ann in Oslo", [ANN, OSLO], [(ANN, other, "Live"), (ANN, other, "Work")])
    split = analyse({"train": [doc]}).train
    assert (split.pairs, split.related_pairs) == (6, 1)
    assert split.ents.total() == 2


def test_docs_are_read_once_and_one_by_one():
    analysis = analyse({"train": (lives() for _ in range(3)), "dev": iter([lives()])})
    assert [split.docs for split in analysis.splits.values()] == [3, 1]


def test_json():
    odd = make("Ann Ann", [ANN, (1, 2, "Loc")], [(ANN, (1, 2, "Loc"), "Same")])
    odd.spans["sc"] = [Span(odd, 0, 2, "X"), Span(odd, 0, 1, "Y")]
    analysis = analyse({"train": [lives(), lives()], "dev": [odd]})
    content = analysis.to_dict()
    assert json.loads(json.dumps(content, allow_nan=False)).keys() == content.keys()
    train = content["splits"]["train"]
    assert train["signatures"] == [{"head": "Per", "label": "Live", "tail": "Loc", "count": 2}]
    assert content["splits"]["dev"]["mixed_types"] == {"Ann": {"Loc": 1, "Per": 1}}
    assert content["splits"]["dev"]["spans"] == {"sc": {"spans": 2, "overlapping": 2}}
    assert content["duplicates"] == [
        {"text": "Ann in Oslo", "docs": {"train": [0, 1]}, "same_annotation": True}
    ]
    assert content["repeats"] == {"train": {"train": 1, "dev": 0}, "dev": {"train": 0, "dev": 0}}
    assert content["beside_training"]["dev"]["new_relations"] == {"Same": 1}
    place = {"split": "dev", "doc": 0, "text": "Ann Ann"}
    assert any(place.items() <= p.items() for f in content["findings"] for p in f["places"])


def test_grave_findings_come_first():
    levels = [f.level for f in analyse({"train": [make("a")], "dev": [lives()]}).findings]
    assert levels == sorted(levels, key=["fail", "warn", "info", "good"].index)
    assert set(levels) == {"fail", "warn", "info", "good"}


# ---- What a training fails at --------------------------------------------------------------------


def initialize(factory, *docs):
    nlp = spacy.blank("en", vocab=VOCAB)
    pipe = nlp.add_pipe(factory)
    pipe.initialize(lambda: [Example(nlp.make_doc(doc.text), doc) for doc in docs], nlp=nlp)


def test_no_relations():
    found = finding("no_relations", make("Ann in Oslo", [ANN, OSLO]))
    assert found.level == "fail"
    assert "store_user_data" in found.advice
    doc = make("Ann in Oslo", [ANN, OSLO], [])
    found = finding("no_relations", doc)
    assert "store_user_data" not in found.advice
    with pytest.raises(ValueError, match="D210"):
        initialize("relation_scorer", doc)


def test_no_relations_in_dev_alone():
    assert finding("no_relations", lives(), dev=[make("a", relations=[])]).level == "warn"
    names = [f.name for f in analyse({"train": [lives()], "dev": [lives()]}).findings]
    assert "no_relations" not in names
    assert "no_ents" not in names


def test_no_ents():
    doc = make("Ann in Oslo", [], [(ANN, OSLO, "Live")])
    assert finding("no_ents", doc).level == "fail"
    assert finding("no_ents", lives(), dev=[doc]).level == "warn"
    with pytest.raises(ValueError, match="D210"):
        initialize("crf_ner", doc)


def test_untyped_arguments():
    untyped = (1, 2, "")
    doc = make("Ann Bo", [ANN], [(ANN, untyped, "Knows")])
    check("untyped_arguments", "fail", doc, details=["Bo [no type]"])
    found = finding("untyped_arguments", lives(), dev=[doc])
    assert (found.level, found.counts) == ("warn", {"train": 0, "dev": 1})
    with pytest.raises(ValueError, match="D214"):
        initialize("relation_scorer", doc)


OUTSIDE = [0, 3, "Per", 90, 95, "Loc", "Live", 1.0]


@pytest.mark.parametrize("stored", [[99, []], "nonsense", None, [12, [[0, 3]]], [12, [OUTSIDE]]])
def test_relations_that_cannot_be_read(stored):
    doc = make("Ann in Oslo")
    doc.user_data[USER_DATA_KEY] = stored
    with pytest.raises(ValueError, match=r"\[D170\] dev, document 1 "):
        analyse({"train": [lives()], "dev": [lives(), doc]})


# ---- Labels and signatures -----------------------------------------------------------------------


def test_few_examples():
    docs = [lives() for _ in range(FEW)]
    assert finding("few_entity_examples", *docs).level == "good"
    assert finding("few_relation_examples", *docs).level == "good"
    found = finding("few_entity_examples", *docs[1:], make("Ann", [ANN]))
    assert (found.level, found.counts) == ("warn", {"Loc": FEW - 1})
    assert finding("few_relation_examples", *docs[1:]).counts == {"Live": FEW - 1}


def test_new_labels():
    dev = [make("Ann Bo", [ANN, (1, 2, "Cat")], [(ANN, (1, 2, "Cat"), "Feeds")])]
    for what, label in [("entity", "Cat"), ("relation", "Feeds")]:
        found = finding(f"new_{what}_labels", lives(), dev=dev)
        assert (found.level, found.counts) == ("warn", {label: 1})
        assert label in found.text
    assert finding("missing_labels", lives(), dev=dev).text.endswith(": Live")
    assert finding("new_labels", lives(), dev=[lives()]).level == "good"


def test_rare_signatures():
    back = make("Ann in Oslo", [ANN, OSLO], [(OSLO, ANN, "Live")])
    docs = [*(lives() for _ in range(5)), back]
    found = finding("rare_signatures", *docs)
    assert (found.level, found.counts) == ("warn", {"train": 1})
    assert [(place.doc, place.detail) for place in found.places] == [
        (5, "Oslo [Loc] --Live--> Ann [Per] (the other way round: 5)")
    ]
    assert len(finding("rare_signatures", *docs, rare=6).places) == 6
    assert finding("rare_signatures", *docs, rare=1).level == "good"
    assert analyse({"train": docs}).to_dict()["rare"] == 5


def test_new_signatures():
    back = make("Ann in Oslo", [ANN, OSLO], [(OSLO, ANN, "Live")])
    found = finding("new_signatures", lives(), dev=[lives(), back])
    assert (found.level, found.counts) == ("warn", {"dev": 1})
    assert [(place.split, place.doc) for place in found.places] == [("dev", 1)]
    assert finding("new_signatures", lives(), dev=[lives()]).level == "good"


# ---- Entities and arguments ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["Inc", "."], "punct_boundaries"),
        (["(", "Ann"], "punct_boundaries"),
        (["Ann", " "], "space_boundaries"),
        (["\n", "Ann"], "space_boundaries"),
        (["\n", "Ann", "!"], "space_boundaries"),
        (["..."], "wordless_entities"),
        (["(", " ", "\u201d"], "wordless_entities"),
        (["U.S."], None),
        (["AT", "&", "T"], None),
        (["a", " ", "b"], None),
        (["$"], None),
        (["%"], "wordless_entities"),  # to Unicode, this is punctuation
    ],
)
def test_boundaries(words, name):
    doc = Doc(VOCAB, words=["x", *words, "y"])
    # What spaCy refuses to set as an entity is in real files all the same.
    doc.set_ents([Span(doc, 1, 1 + len(words), "X")], default="outside")
    for each in ("punct_boundaries", "space_boundaries", "wordless_entities"):
        found = finding(each, lives(), doc)
        assert found.level == ("warn" if each == name else "good")
        assert len(found.places) == (each == name)


def test_arguments_not_in_ents():
    doc = make("Ann in Oslo", [ANN], [(ANN, OSLO, "Live")])
    check("arguments_not_in_ents", "warn", doc, details=["Oslo [Loc]"])
    assert finding("arguments_overlapping_ents", doc).level == "good"


def test_arguments_overlapping_ents():
    doc = make("Ann in Oslo", [ANN, (1, 3, "Loc")], [(ANN, OSLO, "Live")])
    details = ["Oslo [Loc] overlaps in Oslo [Loc]"]
    check("arguments_overlapping_ents", "warn", doc, details=details)
    assert finding("arguments_not_in_ents", doc).level == "good"


def test_other_types():
    doc = make("Ann in Oslo", [ANN, OSLO], [(ANN, (2, 3, "Org"), "Live")])
    check("other_types", "warn", doc, details=["Oslo [Org] is Loc in doc.ents"])


def test_overlapping_pairs():
    inner, outer = (0, 1, "Per"), (0, 2, "Org")
    doc = make("Ann Inc", [outer], [(inner, outer, "Owns")])
    check("overlapping_pairs", "warn", doc, details=["Ann [Per] --Owns--> Ann Inc [Org]"])
    assert histogram(analyse({"train": [doc]}).train.distances)["overlap"] == 1


def test_overlapping_spans():
    doc = make("a b c d e", [(3, 5, "X")])
    doc.spans["sc"] = [
        Span(doc, 0, 3, "X"),
        Span(doc, 1, 2, "Y"),
        Span(doc, 2, 3, "Y"),
        Span(doc, 3, 4, "Y"),
    ]
    doc.spans["ents"] = list(doc.ents)
    details = ["a b c [X] in 'sc'", "b [Y] in 'sc'", "c [Y] in 'sc'", "d [Y] in 'sc'"]
    check("overlapping_spans", "warn", doc, details=details)
    split = analyse({"train": [doc]}).train
    assert split.spans == {"sc": 4, "ents": 1}
    assert split.overlapping_spans == {"sc": 4}


def test_mixed_types():
    docs = [make("Ann", [ANN]), make("Ann", [ANN]), make("see Ann", [(1, 2, "Org")])]
    found = finding("mixed_types", *docs)
    assert (found.level, found.counts) == ("info", {"train": 1})
    assert [(p.doc, p.detail) for p in found.places] == [(2, "Ann: Per (2), Org (1); Org here")]
    assert finding("mixed_types", *docs[:2]).level == "good"
    # Each split by itself
    assert finding("mixed_types", *docs[:2], dev=docs[2:]).level == "good"


# ---- Documents -----------------------------------------------------------------------------------


def test_empty_docs():
    check("empty_docs", "warn", Doc(VOCAB))
    assert finding("empty_docs", lives(), Doc(VOCAB, words=[" "])).level == "warn"
    assert finding("duplicates", lives(), Doc(VOCAB), Doc(VOCAB)).level == "good"


def test_unannotated_docs():
    check("unannotated_docs", "warn", Doc(VOCAB, words=["Ann"]), make("Ann", []))
    assert finding("unannotated_docs", make("Ann", relations=[])).level == "good"


def test_relations_not_set():
    check("relations_not_set", "warn", make("Ann in Oslo", [ANN, OSLO]))
    assert finding("relations_not_set", lives(), make("Ann", [ANN])).level == "good"
    assert finding("relations_not_set", make("Ann in Oslo", [ANN, OSLO], [])).level == "good"


def test_crossing_relations():
    bad = lives("Ann . Oslo", sent_starts=[True, False, True])
    good = lives(sent_starts=[True, False, False])
    check("crossing_relations", "info", bad, good, ["Ann [Per] --Live--> Oslo [Loc]"])
    found = finding("no_sentences", bad, good, lives())
    assert (found.level, found.counts) == ("info", {"train": 1})
    names = [f.name for f in analyse({"train": [lives()]}).findings]
    assert "crossing_relations" not in names
    assert "no_sentences" in names
    assert "no_sentences" not in [f.name for f in analyse({"train": [bad, good]}).findings]


@pytest.mark.parametrize("head_first", [True, False])
@pytest.mark.parametrize("gap", [0, 1, 4, 33])
def test_distances(head_first, gap):
    head, tail = (0, 2, "Per"), (2 + gap, 3 + gap, "Loc")
    if not head_first:
        head, tail = tail, head
    doc = make(" ".join("x" * (3 + gap)), [head, tail], [(head, tail, "Live")])
    assert analyse({"train": [doc]}).train.distances == {gap: 1}


def test_histogram():
    counts = histogram({0: 1, 1: 2, 3: 1, 4: 1, 5: 1, 8: 1, 9: 1, 32: 3, 33: 1, 400: 1})
    assert counts == {"0": 1, "1": 2, "2": 0, "3-4": 2, "5-8": 2, "9-16": 1, "17-32": 3, "33+": 2}
    assert histogram({-1: 2, 2: 1})["overlap"] == 2


# ---- Pairs ---------------------------------------------------------------------------------------


def test_partly_symmetric():
    one = make("Ann and Bo", [ANN, BO], [(ANN, BO, "Knows")])
    both = make("Ann & Bo", [ANN, BO], [(ANN, BO, "Knows"), (BO, ANN, "Knows")])
    check("partly_symmetric", "warn", both, one, ["Ann [Per] <--Knows--> Bo [Per]"])
    assert "Knows (train: 1 of 2 pairs)" in finding("partly_symmetric", one, both).text
    assert finding("partly_symmetric", both).level == "good"
    assert analyse({"train": [one, both]}).train.symmetric == {"Knows": 1}


def test_inverse_pairs():
    docs = [
        make("Ann and Bo", [ANN, BO], [(ANN, BO, "Parent"), (BO, ANN, "Child")]),
        make("Ann and Bo", [ANN, BO], [(ANN, BO, "Child"), (BO, ANN, "Parent")]),
    ]
    details = ["Ann [Per] --Parent--> Bo [Per] --Child--> Ann [Per]"]
    check("inverse_pairs", "info", docs[0], details=details)
    split = analyse({"train": docs}).train
    assert split.inverse == {("Child", "Parent"): 2}
    assert not split.symmetric
    assert not split.several


def test_several_labels():
    doc = make("Ann : Oslo", [ANN, OSLO], [(ANN, OSLO, "Live"), (ANN, OSLO, "Born")])
    details = ["Ann [Per] --Born, Live--> Oslo [Loc]"]
    check("several_labels", "info", doc, details=details)
    assert analyse({"train": [doc]}).train.several == {("Born", "Live"): 1}


def test_pairs_are_those_of_spans_whatever_their_types():
    org = (2, 3, "Org")
    doc = make("Ann in Oslo", [ANN, OSLO], [(ANN, OSLO, "Live"), (org, ANN, "Live")])
    assert analyse({"train": [doc]}).train.symmetric == {"Live": 1}


def test_unseen_pairs():
    dev = [
        lives(),  # known
        make("Ann in Oslo", [ANN, OSLO], [(ANN, OSLO, "Work")]),  # the pair is known
        make("Ann in Oslo", [ANN, OSLO], [(OSLO, ANN, "Live")]),  # not in this direction
        make("Ann in Rome", [ANN, OSLO], [(ANN, OSLO, "Live")]),
        make("Ann by Rome", [ANN, OSLO], [(ANN, OSLO, "Live")]),
    ]
    analysis = analyse({"train": [lives()], "dev": dev})
    beside = analysis.comparisons["dev"]
    assert (beside.pairs, beside.unseen_pairs) == (3, 2)
    assert (beside.relations, beside.relations_of_unseen_pairs, beside.known_relations) == (5, 3, 1)
    assert (beside.entity_texts, beside.unseen_entity_texts) == (3, 1)
    text = finding("unseen_pairs", lives(), dev=dev).text
    assert "2 of 3" in text
    assert "3 of 5 (60.0 %)" in text


def test_balance():
    doc = make("Ann and Bo to Oslo", [ANN, BO, (4, 5, "Loc")], [(ANN, BO, "Knows")])
    assert "1 of 6" in finding("balance", doc).text


# ---- Duplicates ----------------------------------------------------------------------------------


def test_duplicates_within():
    again = Doc(VOCAB, words=["Ann", "inOslo"])  # other tokens
    found = finding("duplicates", lives(), make("Ann on Oslo"), again, lives())
    assert (found.level, found.counts) == ("warn", {"train": 2})
    assert [place.doc for place in found.places] == [0, 2, 3]
    assert {place.detail for place in found.places} == {"same text: train 0, train 2, train 3"}
    assert finding("duplicates", lives(), dev=[lives()]).level == "good"


def test_many_duplicates_have_short_details():
    details = {p.detail for p in finding("duplicates", *(lives() for _ in range(100))).places}
    (detail,) = details
    assert detail.count("train") == MAX_REPEATS
    assert detail.endswith(", ... (100 documents)")


def test_duplicates_across():
    dev = [make("fine"), lives(), lives()]
    found = finding("duplicates_dev_train", lives(), dev=dev)
    assert (found.level, found.counts) == ("warn", {"dev": 2})
    assert [(place.split, place.doc) for place in found.places] == [
        ("train", 0),
        ("dev", 1),
        ("dev", 2),
    ]
    assert finding("duplicates_dev_train", lives(), dev=dev[:1]).level == "good"
    three = analyse({"train": [lives()], "dev": [make("fine")], "test": dev})
    assert three.repeats["test"] == {"train": 2, "dev": 1, "test": 1}
    counts = {f.name: f.counts for f in three.findings if f.name.startswith("duplicates_")}
    assert counts == {
        "duplicates_dev_train": {"dev": 0},
        "duplicates_test_train": {"test": 2},
        "duplicates_test_dev": {"test": 1},
    }


def test_contradictions():
    other = make("Ann in Oslo", [ANN, OSLO], [(OSLO, ANN, "Live")])
    found = finding("contradictions", lives(), lives(), dev=[other])
    assert (found.level, found.counts) == ("warn", {"all": 1})
    assert [(place.split, place.doc) for place in found.places] == [
        ("train", 0),
        ("train", 1),
        ("dev", 0),
    ]
    assert finding("contradictions", lives(), lives(), dev=[lives()]).level == "good"
    assert finding("contradictions", lives(), make("Ann in Oslo", [ANN], [])).level == "warn"
    # Tokenized in another way, but annotated in the same
    words = make("Ann in Os lo", [ANN, (2, 4, "Loc")], [(ANN, (2, 4, "Loc"), "Live")])
    assert finding("contradictions", lives(), words).level == "good"


# ---- Real data -----------------------------------------------------------------------------------


def records(split):
    path = DATA / "conll04" / f"conll04_{split}.json"
    if not path.is_file():
        pytest.skip(f"no real data at {path}: set SPACY_DEEPER_DATA to the folder of conll04/")
    return path, json.loads(path.read_text(encoding="utf-8"))


def read_records(split, folder, nlp):
    path, _ = records(split)
    done = convert(path, folder / f"{split}.spacy")
    return spacy.tokens.DocBin().from_disk(done.path).get_docs(nlp.vocab)


def facts(split):
    """Count what `analyse` counts, from the JSON and not from docs."""
    _, found = records(split)
    relations = [
        (r["type"], record["entities"][r["head"]], record["entities"][r["tail"]], record["tokens"])
        for record in found
        for r in record["relations"]
    ]
    words = [
        (label, " ".join(t[head["start"] : head["end"]]), " ".join(t[tail["start"] : tail["end"]]))
        for label, head, tail, t in relations
    ]
    texts = ["".join(record["tokens"]) for record in found]
    return found, relations, words, texts


def test_conll04(tmp_path):
    nlp = spacy.blank("xx")
    splits = {split: read_records(split, tmp_path, nlp) for split in ("train", "dev")}
    analysis = analyse(splits)
    train, dev = analysis.splits.values()
    all_texts = []
    for split in (train, dev):
        found, relations, _, texts = facts(split.name)
        all_texts += texts
        assert split.tokens == sum(len(record["tokens"]) for record in found)
        n_ents = [len(record["entities"]) for record in found]
        assert split.pairs == sum(n * (n - 1) for n in n_ents)
        assert split.signatures.total() == len(relations)
        for (head_type, label, tail_type), count in split.signatures.items():
            assert count == sum(
                (head["type"], name, tail["type"]) == (head_type, label, tail_type)
                for name, head, tail, _ in relations
            )
        for gap, count in split.distances.items():
            assert count == sum(
                max(head["start"], tail["start"]) - min(head["end"], tail["end"]) == gap
                for _, head, tail, _ in relations
            )
        assert analysis.repeats[split.name][split.name] == len(texts) - len(set(texts))
    # The README of the data: 44 of the 1,153 sentences repeat another one.
    assert len(all_texts) == 1153
    assert len(all_texts) - len(set(all_texts)) == 44
    groups = [group.docs for group in analysis.duplicates]
    assert sum(sum(map(len, docs.values())) - 1 for docs in groups) == 44
    assert analysis.repeats == {"train": {"train": 27, "dev": 16}, "dev": {"train": 14, "dev": 3}}
    known, new = facts("train")[2], facts("dev")[2]
    known_pairs, beside = {words[1:] for words in known}, analysis.comparisons["dev"]
    assert (beside.pairs, beside.unseen_pairs) == (311, 249)
    assert beside.unseen_pairs == len({words[1:] for words in new} - known_pairs)
    assert beside.relations_of_unseen_pairs == sum(words[1:] not in known_pairs for words in new)
    assert beside.known_relations == sum(words in set(known) for words in new)
    assert train.symmetric == {"Located_In": 1}
    assert not any(finding.level == "fail" for finding in analysis.findings)
    names = {finding.name for finding in analysis.findings if finding.level == "warn"}
    assert names == {
        "punct_boundaries",
        "partly_symmetric",
        "duplicates",
        "duplicates_dev_train",
        "contradictions",
    }
