"""The sample config from end to end by spaCy's commands, on a tiny random transformer."""

import json
from pathlib import Path

import numpy
import pytest
import spacy
import torch
from spacy.cli._util import app as spacy_app
from transformers import BertConfig, BertModel, BertTokenizerFast
from typer.testing import CliRunner

import spacy_deeper.cli  # noqa: F401 - the command `relations`

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "assets" / "sample" / "dev.txt"
LAYERS, WIDTH = 3, 16


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    """A BERT of two layers (and the embeddings) that reads letters."""
    folder = tmp_path_factory.mktemp("encoder")
    letters = sorted(set(SAMPLE.read_text("utf8").lower()) - set(" \n"))
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces += [prefix + letter for letter in letters for prefix in ("", "##")]
    (folder / "vocab.txt").write_text("\n".join(pieces), "utf8")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS - 1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def run(*args: object) -> None:
    result = CliRunner().invoke(spacy_app, [str(arg) for arg in args])
    assert result.exit_code == 0, (result.stdout, result.stderr, result.exception)


def test_trains_from_end_to_end(encoder: Path, tmp_path: Path) -> None:
    data = tmp_path / "dev.spacy"
    run("relations", "convert", SAMPLE, data, "--strict")
    configs = [ROOT / "configs" / name for name in ("base.cfg", "sample.cfg")]
    run("relations", "merge-config", *configs, tmp_path / "config.cfg")
    overrides = {
        "paths.train": data,
        "paths.dev": data,
        "vars.encoder": json.dumps(str(encoder)),
        "vars.width": 32,
        "training.max_steps": 4,
        "training.eval_frequency": 2,
    }
    options = [text for name, value in overrides.items() for text in (f"--{name}", value)]
    run("train", tmp_path / "config.cfg", "--output", tmp_path / "out", *options)
    model, scores = tmp_path / "out" / "model-last", tmp_path / "scores.json"
    run("relations", "evaluate", model, data, "--output", scores)
    assert 0.0 <= json.loads(scores.read_text())["rel_micro_f"] <= 1.0
    nlp = spacy.load(model)
    doc = nlp("Poe was born in Boston.")
    assert doc.tensor.shape == (6, 32)
    assert numpy.isfinite(doc.tensor).all()
    assert doc.has_annotation("ENT_IOB")
