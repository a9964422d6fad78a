"""Results files become the right numbers in Markdown, and pictures."""

import re
from pathlib import Path
from statistics import mean, stdev

import pytest
import srsly
from typer.testing import CliRunner

from spacy_deeper.cli.protocol import app
from spacy_deeper.protocols.paper import TABLES
from spacy_deeper.protocols.report import render
from spacy_deeper.protocols.summary import F_SCORES, summarize

KEYS = [
    f"{task}_{avg}_{m}" for task in ("ents", "rel") for avg in ("micro", "macro") for m in "prf"
]
PICTURE = {".png": b"\x89PNG", ".svg": b"<?xml"}


def make_run(row, seed, base, *, settings=None, parts=("all",)):
    scores = {part: {key: base + i / 100 for i, key in enumerate(KEYS)} for part in parts}
    return {
        "name": f"{row}-{seed}",
        "row": row,
        "seed": seed,
        "settings": settings or {},
        "n_parameters": 6_000_000,
        "seconds": 90.0,
        "n_test": {part: 10 for part in parts},
        "machine": {"cpu": "A processor", "system": "An OS", "python": "3.11"},
        "versions": {"spacy": "3.8.0"},
        "threads": 1,
        "scores": scores,
    }


def make_results(runs, **fields):
    return {
        "protocol": "ablation",
        "title": "A title",
        "paper": None,
        "options": {"select": "last"},
        "n_runs": len(runs),
        "runs": runs,
        **fields,
    }


def cells(markdown, start):
    """Return the cells of the first table row that begins with a text."""
    line = next(line for line in markdown.splitlines() if line.startswith(f"| {start} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_mean_and_standard_deviation():
    runs = [make_run("Baseline", seed, base) for seed, base in enumerate((0.50, 0.53, 0.59))]
    (row,) = summarize(runs)
    for key in F_SCORES:
        values = [run["scores"]["all"][key] * 100 for run in runs]
        assert row.score(key).mean == pytest.approx(mean(values))
        assert row.score(key).std == pytest.approx(stdev(values))
    assert str(summarize(runs[:1])[0].score("ents_micro_f")) == "52.0"
    assert row.minutes == pytest.approx(1.5)


def test_a_row_beside_the_paper():
    rows = list(TABLES["table3"])
    runs = [make_run(row, seed, 0.5 + seed / 10) for row in rows for seed in (0, 1)]
    text = render([make_results(runs, paper="table3")], "Results", [None])
    table = text.splitlines()
    for row in rows:
        assert cells(text, row) == [
            row,
            "2",
            "6,000,000",
            "57.0 ± 7.1",
            "60.0 ± 7.1",
            "63.0 ± 7.1",
            "66.0 ± 7.1",
        ]
        below = table[next(i for i, line in enumerate(table) if line.startswith(f"| {row} ")) + 1]
        theirs = [cell.strip() for cell in below.strip("|").split("|")][3:]
        assert theirs == [f"{TABLES['table3'][row][key]:.1f}" for key in F_SCORES]
    assert "seeds 0, 1; the last checkpoint of each is scored on 10 documents" in text
    assert "on A processor, 1 thread(s), with Python 3.11, spacy 3.8.0." in text
    assert "8 runs" in text
    assert "0.2 hours" in text


def test_one_row_has_precision_and_recall():
    text = render(
        [make_results([make_run("Folds", 0, 0.5)], protocol="folds", paper="table2-ade")],
        "Results",
        [None],
    )
    # The scores rise by 1 from one key to the next.
    assert cells(text, "entities, micro") == ["entities, micro", "50.0", "51.0", "52.0", "", "", ""]
    macro = ["relations, macro", "59.0", "60.0", "61.0", "80.5", "86.8", "83.7"]
    assert cells(text, "relations, macro") == macro


def test_scores_without_repeats_are_a_row_of_their_own():
    runs = [make_run("Seeds", 0, 0.5, parts=("all", "without_repeats"))]
    runs[0]["scores"]["without_repeats"]["rel_micro_f"] = 0.123
    text = render([make_results(runs, protocol="seeds")], "Results", [None])
    assert cells(text, "Seeds")[5] == "58.0"
    assert cells(text, "Seeds, without texts of the training data")[5] == "12.3"


def test_the_best_of_a_large_grid():
    runs = [make_run(f"row {i:02}", 0, i / 100) for i in range(20)]
    text = render([make_results(runs, protocol="depths")], "Results", [None])
    shown = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| row")]
    assert shown == [f"row {i:02}" for i in range(19, 7, -1)]
    assert "The 12 best by relations, of 20." in text


def test_runs_of_two_machines():
    runs = [make_run("Seeds", seed, 0.5) for seed in (0, 1)]
    runs[1]["versions"] = {"spacy": "3.7.0"}
    text = render([make_results(runs, protocol="seeds")], "Results", [None])
    assert "spacy 3.7.0 or on A processor" in text


def test_folds_say_how_they_were_made():
    split = {"folds": 10, "split_seed": 3, "dev_fraction": 0.1}
    text = render([make_results([make_run("Folds", 0, 0.5)], **split)], "Results", [None])
    assert "10 folds, seed 3, stratified" in text
    assert "10% of the documents were held out" in text


def test_unfinished_protocols_say_so():
    text = render([make_results([make_run("Seeds", 0, 0.5)], n_runs=5)], "Results", [None])
    assert "1 of 5 runs" in text


def depth_runs():
    return [
        make_run(
            f"{cell}-{shared}-{ner}-{re}",
            0,
            0.3 + re / 20,
            settings={
                "vars.cell": cell,
                "vars.shared_depth": shared,
                "vars.ner_depth": ner,
                "vars.re_depth": re,
            },
        )
        for cell in ("gru", "lstm")
        for shared in (1, 2)
        for ner in (0, 1)
        for re in (0, 1)
    ]


SEARCH = {
    "protocol": "search",
    "title": "A title",
    "machine": {"cpu": "A processor", "system": "An OS", "python": "3.11"},
    "versions": {"spacy": "3.8.0"},
    "metric": ["ents_micro_f", "rel_micro_f"],
    "best": {
        "number": 2,
        "score": 0.7,
        "settings": {"vars.width": 64, "training.dropout": 0.123456},
    },
    "importances": {"vars.width": 0.25, "training.dropout": 0.75},
    "trials": [
        {
            "number": i,
            "state": "pruned" if value is None else "complete",
            "settings": {"vars.width": 32, "training.dropout": 0.5},
            "value": value,
            "intermediate": [0.1, 0.2],
            "seconds": 1800.0,
        }
        for i, value in enumerate((0.6, None, 0.7))
    ],
}


def test_a_search():
    text = render([SEARCH], "Results", [None])
    assert "3 trials (2 complete, 1 pruned)" in text
    assert "1.5 hours" in text
    assert cells(text, "score") == ["score", "70.0", "60.0", ""]
    assert cells(text, "`vars.width`") == ["`vars.width`", "64", "32", "0.25"]
    # The most important setting comes first.
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    assert lines[0].startswith("| `training.dropout`")


@pytest.mark.parametrize(
    "results",
    [
        make_results([make_run(row, s, 0.5) for row in TABLES["table3"] for s in (0, 1)]),
        make_results([make_run("Folds", 0, 0.5)], protocol="folds", paper="table2-ade"),
        make_results(depth_runs(), protocol="depths"),
        SEARCH,
    ],
    ids=["bars", "one row", "map", "search"],
)
def test_the_command(results, tmp_path: Path):
    (tmp_path / "in" / "a").mkdir(parents=True)
    srsly.write_json(tmp_path / "in" / "a" / "results.json", results)
    srsly.write_json(tmp_path / "in" / "b.json", results)
    page = tmp_path / "out" / "page.md"
    result = CliRunner().invoke(app, ["report", str(tmp_path / "in"), "-o", str(page), "--plots"])
    assert result.exit_code == 0, result.output
    text = page.read_text("utf-8")
    assert text.count("## A title") == result.stdout.count(" A title =") == 2
    first_row = text[text.index("\n| --") + 1 :].splitlines()[1]
    printed = " +".join(re.escape(cell.strip()) for cell in first_row.strip("| ").split("|"))
    assert len(re.findall(f"\n{printed}", result.stdout)) == 2
    for begun in ({"protocol": "search", "best": None}, {"protocol": "seeds", "runs": []}):
        srsly.write_json(tmp_path / "in" / f"{begun['protocol']}.json", begun)
    result = CliRunner().invoke(app, ["report", str(tmp_path / "in"), "-o", str(page)])
    assert result.exit_code == 0, result.output
    assert page.read_text("utf-8").count("## A title") == 2
    assert "search.json: it has no finished run" in result.stderr
    for name in ("page-1.png", "page-2.png"):
        assert f"]({name})" in text
        assert (page.parent / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"protocol": "seeds", "runs": []}'])
def test_broken_results(content, tmp_path: Path):
    path = tmp_path / "results.json"
    path.write_text(content)
    result = CliRunner().invoke(app, ["report", str(path), "-o", str(tmp_path / "page.md")])
    assert result.exit_code == 1
    assert "[D340]" in result.stderr
    assert str(path) in result.stderr
    assert not (tmp_path / "page.md").exists()


def test_no_results(tmp_path: Path):
    page = str(tmp_path / "page.md")
    for path in (tmp_path, tmp_path / "none.json"):
        result = CliRunner().invoke(app, ["report", str(path), "-o", page])
        assert result.exit_code == 1
        assert "[D340]" in result.stderr


def test_all_variants_are_shown():
    runs = [make_run(f"row {i:02}", 0, i / 100) for i in range(20)]
    text = render([make_results(runs, protocol="variants")], "Results", [None])
    shown = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| row")]
    assert shown == [f"row {i:02}" for i in range(20)]
