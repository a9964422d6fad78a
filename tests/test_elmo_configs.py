"""The configs with the paper's inputs, on small files in the layouts of the large ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import spacy
from spacy.cli.train import train
from spacy.training.initialize import convert_vectors
from typer.testing import CliRunner

from spacy_deeper.cli import app
from spacy_deeper.cli.merge_config import merge_configs
from spacy_deeper.training.convert import convert

pytest.importorskip("h5py", reason="needs the extra 'elmo'")

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SPACY_DEEPER_DATA", ROOT.parent / "shared" / "data"))
CONFIGS, SAMPLE = ROOT / "configs", ROOT / "assets" / "sample"
TEXTS = ["In 1809, author Edgar Allan Poe was born in Boston.", "", "POE\n\n was\tnaïve."]

# In a process of its own, without the files and without what would read them.
LOAD = """
import sys
sys.modules["h5py"] = None
import json, numpy, spacy
path, texts, output = sys.argv[1:]
nlp = spacy.load(path)
docs = list(nlp.pipe(json.loads(texts)))
numpy.savez(output, *(doc.tensor for doc in docs))
print(json.dumps([str((doc.ents, doc._.relations)) for doc in docs]))
"""


@pytest.fixture
def elmo(tiny_elmo, tmp_path) -> dict[str, str]:
    """Copies of an ELMo's files: AllenNLP's own small one if it is here, or random weights."""
    golden = DATA / "elmo_fixture"
    folder, weights = (golden, "lm_weights") if golden.is_dir() else (tiny_elmo, "weights")
    copies = {"elmo_options": tmp_path / "o.json", "elmo_weights": tmp_path / "w.hdf5"}
    copies["elmo_options"].write_bytes((folder / "options.json").read_bytes())
    copies["elmo_weights"].write_bytes((folder / f"{weights}.hdf5").read_bytes())
    return {name: str(path) for name, path in copies.items()}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> dict[str, str]:
    """Sentences to train on, and vectors for some of their words."""
    folder = tmp_path_factory.mktemp("corpus")
    convert(SAMPLE / "dev.txt", folder / "dev.spacy")
    rows = numpy.random.default_rng(0).normal(size=(4, 5))
    words = zip(("poe", "in", "born", "boston"), rows, strict=True)
    lines = [f"{word} {' '.join(map(str, row))}\n" for word, row in words]
    (folder / "glove.txt").write_text("".join(lines))
    nlp = spacy.blank("en")
    convert_vectors(nlp, folder / "glove.txt", truncate=0, prune=-1)
    nlp.to_disk(folder / "glove")
    dev = str(folder / "dev.spacy")
    return {"train": dev, "dev": dev, "vectors": str(folder / "glove")}


def test_a_training_finds_what_was_cached_before(elmo, corpus, tmp_path) -> None:
    overlays = (CONFIGS / f"{overlay}.cfg" for overlay in ("conll04", "conll04_elmo"))
    merge_configs(CONFIGS / "base.cfg", *overlays).to_disk(tmp_path / "config.cfg")
    paths = {**corpus, **elmo, "cache": str(tmp_path / "cache")}
    overrides: dict[str, str | int] = {f"paths.{key}": value for key, value in paths.items()}
    options = [text for key, value in overrides.items() for text in (f"--{key}", value)]
    command = ["warm-cache", str(tmp_path / "config.cfg"), corpus["dev"], *map(str, options)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")}
    assert times
    overrides |= {"training.max_steps": 2, "training.eval_frequency": 2, "vars.width": 16}
    train(tmp_path / "config.cfg", overrides=overrides)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")} == times


@pytest.mark.parametrize("name", ["conll04", "ade"])
def test_train_save_and_load_without_the_files(elmo, corpus, tmp_path, name) -> None:
    overlays = (CONFIGS / f"{overlay}.cfg" for overlay in (name, f"{name}_elmo"))
    merge_configs(CONFIGS / "base.cfg", *overlays).to_disk(tmp_path / "config.cfg")
    overrides = {f"paths.{key}": value for key, value in (corpus | elmo).items()}
    overrides |= {"training.max_steps": 2, "training.eval_frequency": 2, "vars.width": 16}
    train(tmp_path / "config.cfg", tmp_path / "out", overrides=overrides)
    nlp = spacy.load(tmp_path / "out" / "model-last")
    tok2vec = nlp.get_pipe("tok2vec").model
    names = [node.name for node in tok2vec.walk()]
    assert {"elmo_layers", "scalar_mix", "static_vectors", "char_birnn", "casing"} <= set(names)
    docs = list(nlp.pipe(TEXTS))
    expected = [str((doc.ents, doc._.relations)) for doc in docs]
    for path in elmo.values():
        Path(path).unlink()
    arguments = [tmp_path / "out" / "model-last", json.dumps(TEXTS), tmp_path / "tensors.npz"]
    command = [sys.executable, "-c", LOAD, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected
    tensors = numpy.load(tmp_path / "tensors.npz")
    for doc, tensor in zip(docs, tensors.values(), strict=True):
        numpy.testing.assert_allclose(tensor, doc.tensor, atol=1e-6)
