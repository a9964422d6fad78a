"""The real corpora, where they are: what is read, written and dropped, counted independently."""

import os
from collections import Counter
from pathlib import Path

import pytest

from spacy_deeper.training.convert import convert

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
    from spacy_deeper.training.records import Options

    report = convert_real(
        "scierc/scierc_dev.json", tmp_path, options=Options(overlap="spans")
    ).report
    assert counts(report.written) == counts(report.read) == (275, 811, 455)
    assert report.reasons() == {MOVED: 7}
