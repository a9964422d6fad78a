"""The real corpora, where they are: what is read, written and dropped, counted independently."""

import os
from collections import Counter
from pathlib import Path

import pytest

from spacy_deeper.training.convert import convert
from spacy_deeper.training.records import Options

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("SPACY_DEEPER_DATA", ROOT.parent / "shared" / "data"))


def convert_real(name, tmp_path, **kwargs):
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"no real data at {path}: set SPACY_DEEPER_DATA to the folder of {name}")
    done = convert(path, tmp_path / "a.spacy", **kwargs)
    report = done.report
    gone = Counter(loss.what for loss in report.losses if loss.action != "repaired")
    assert report.read - gone == report.written
    assert (done.ents.total(), done.relations.total()) == (
        report.written["entities"],
        report.written["relations"],
    )
    return done


def counts(counter):
    return counter["documents"], counter["entities"], counter["relations"]


OVERLAPS = ("dropped", "entities", "overlaps a longer or earlier one")
NO_ARGUMENT = ("dropped", "relations", "an argument was dropped")
REPEATED = ("dropped", "relations", "repeats another relation")
MOVED = (
    "repaired",
    "entities",
    "overlaps a longer or earlier one: moved to doc.spans['overlapping']",
)


@pytest.mark.parametrize(
    ("split", "read", "written", "losses"),
    [
        (
            "train",
            (1861, 5598, 3219),
            (1861, 5537, 3200),
            {OVERLAPS: 61, NO_ARGUMENT: 15, REPEATED: 4},
        ),
        ("dev", (275, 811, 455), (275, 804, 447), {OVERLAPS: 7, NO_ARGUMENT: 8}),
    ],
)
def test_scierc(tmp_path, split, read, written, losses):
    name = f"scierc/scierc_{split}.json"
    report = convert_real(name, tmp_path).report
    assert (counts(report.read), counts(report.written)) == (read, written)
    assert report.reasons() == losses


def test_scierc_overlapping_spans(tmp_path):
    report = convert_real(
        "scierc/scierc_dev.json", tmp_path, options=Options(overlap="spans")
    ).report
    assert counts(report.written) == counts(report.read) == (275, 811, 455)
    assert report.reasons() == {MOVED: 7}


@pytest.mark.parametrize(
    ("split", "expected", "places"),
    [
        ("train", (910, 3393, 1273), ["document 4295, line 3176", "document 1395, line 25434"]),
        ("dev", (243, 877, 353), []),
    ],
)
def test_multihead(tmp_path, split, expected, places):
    report = convert_real(f"conll04/multihead/{split}.txt", tmp_path).report
    assert counts(report.read) == counts(report.written) == expected
    reason = "an I- tag without its B- opens an entity"
    assert [(loss.place, loss.reason) for loss in report.losses] == [(p, reason) for p in places]


ADE_OVERLAPS = {OVERLAPS: 111, ("repaired", "entities", "white space cut off its edges"): 1}


@pytest.mark.parametrize(
    ("align", "written", "losses"),
    [
        (
            "expand",
            (3880, 9752, 6033),
            {
                ("repaired", "entities", "cuts a token: expanded to whole tokens"): 18,
                ("dropped", "entities", "repeats another entity"): 1,
                NO_ARGUMENT: 183,
                REPEATED: 7,
            },
        ),
        (
            "strict",
            (3880, 9735, 6007),
            {("dropped", "entities", "cuts a token"): 18, NO_ARGUMENT: 215, REPEATED: 1},
        ),
    ],
)
def test_ade(tmp_path, align, written, losses):
    report = convert_real("ade/DRUG-AE.rel", tmp_path, options=Options(align=align)).report
    assert counts(report.read) == (3880, 9864, 6223)  # 6223 lines
    assert counts(report.written) == written
    assert report.reasons() == ADE_OVERLAPS | losses
