"""Pipelines with weights of 8 bits. All layers are quantized here, however small."""

import re
from pathlib import Path

import pytest
import spacy
import torch
from spacy.language import Language
from spacy.util import load_model_from_config
from typer.testing import CliRunner

from spacy_deeper.cli import app
from spacy_deeper.layers.cached import frozen_layers
from spacy_deeper.layers.pytorch import quantize as layers
from spacy_deeper.layers.pytorch.quantize import int8_layers
from spacy_deeper.quantization import quantize

from .joint import (
    build,
    ents_of,
    pair,
    relations_of,
    same,
    start_with_transformer,
    step,
    torch_modules,
)
from .test_fine_tuning import FINE_TUNED

FROZEN = """
[components]

[components.tok2vec]

[components.tok2vec.model]

[components.tok2vec.model.embed]

[components.tok2vec.model.embed.contextual]
@architectures = "spacy_deeper.FrozenTransformer.v1"
name = "NAME"
window = 6
stride = 3

[components.tok2vec.model.embed.contextual.pooling]
@layers = "reduce_mean.v1"
"""

# The tiny transformer's words are cut off, every letter of theirs being a piece.
pytestmark = pytest.mark.filterwarnings(r"ignore:\[DW202\]:UserWarning")


@pytest.fixture(autouse=True)
def _all_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "MIN_WEIGHTS", 1)


@pytest.fixture
def quantized(trained_path: Path) -> Language:
    nlp = spacy.load(trained_path)
    quantize(nlp)
    return nlp


@pytest.fixture(params=["frozen", "fine-tuned"])
def with_transformer(request: pytest.FixtureRequest, tiny_transformer: Path, docs) -> Language:
    """An untrained pipeline with a transformer in `tok2vec`, or in front of it."""
    changes = FROZEN if request.param == "frozen" else FINE_TUNED
    return start_with_transformer(changes, tiny_transformer, docs[:4])


def transformer(nlp: Language) -> torch.nn.Module:
    (found,) = (
        shim._model
        for _, pipe in nlp.pipeline
        for node in pipe.model.walk()
        for shim in node.shims
        if hasattr(shim, "_hfmodel")
    )
    return found


def off(nlp: Language, other: Language, text: str) -> float:
    """Return how far the shared layers' outputs are from each other, at most."""
    return float(abs(nlp(text).tensor - other(text).tensor).max())


def test_it_predicts_nearly_the_same(trained, quantized, docs) -> None:
    texts = [doc.text for doc in docs]
    before, after = list(trained.pipe(texts)), list(quantized.pipe(texts))
    assert any(ents_of(doc) for doc in before)
    assert sum(ents_of(a) == ents_of(b) for a, b in zip(before, after, strict=True)) >= 19
    assert sum(relations_of(a) == relations_of(b) for a, b in zip(before, after, strict=True)) >= 19
    assert 0 < max(off(trained, quantized, text) for text in texts) < 0.1


def test_every_recurrent_and_linear_layer_is_quantized(quantized) -> None:
    modules = [m for _, pipe in quantized.pipeline for m in torch_modules(pipe.model)]
    parts = [part for module in modules for part in module.modules()]
    assert sum(map(len, map(int8_layers, modules))) == 8  # 4 of RNNs; of the tagger and head 2 each
    assert not any(isinstance(part, torch.nn.Linear | torch.nn.RNNBase) for part in parts)


def test_it_is_saved_and_loaded(quantized, docs, tmp_path: Path) -> None:
    quantized.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert loaded.meta["quantization"] == "int8"
    for doc in docs:
        same(loaded(doc.text), quantized(doc.text), 0)
    again = build().from_bytes(quantized.to_bytes())
    same(again(docs[0].text), quantized(docs[0].text), 0)
    for nlp in (loaded, again):
        with pytest.raises(ValueError, match="D450"):
            quantize(nlp)


def test_its_components_can_be_sourced(quantized, docs, tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    for name in quantized.pipe_names:
        nlp.add_pipe(name, source=quantized)
    nlp.to_disk(tmp_path)
    same(spacy.load(tmp_path)(docs[0].text), quantized(docs[0].text), 0)


def test_a_transformer_is_quantized(with_transformer, docs, tmp_path: Path) -> None:
    nlp = with_transformer
    nlp.to_disk(tmp_path / "before")
    quantize(nlp)
    assert not any(isinstance(part, torch.nn.Linear) for part in transformer(nlp).modules())
    nlp.to_disk(tmp_path / "after")
    before, after = spacy.load(tmp_path / "before"), spacy.load(tmp_path / "after")
    assert int8_layers(transformer(before)) == []
    assert len(int8_layers(transformer(after))) == 2 * 6 + 1  # and the pooler
    for doc in docs[:4]:
        same(after(doc.text), nlp(doc.text), 0)
        assert off(after, nlp, doc.text) == 0
        assert 0 < off(after, before, doc.text) < 0.2


def test_a_transformer_that_could_not_be_loaded(tiny_transformer: Path, docs, tmp_path) -> None:
    other = FINE_TUNED.replace("spacy_deeper.TransformerModel.v1", OTHER)
    nlp = start_with_transformer(other, tiny_transformer, docs[:4])
    with pytest.raises(ValueError, match=r"D453.*'transformer'"):
        quantize(nlp)
    nlp.to_disk(tmp_path)
    path = tmp_path / "config.cfg"  # as the message says
    path.write_text(path.read_text().replace(OTHER, "spacy_deeper.TransformerModel.v1"))
    helped = spacy.load(tmp_path)
    assert off(helped, nlp, docs[0].text) < 1e-6
    assert quantize(helped) > 0


OTHER = "spacy-transformers.TransformerModel.v3"


def test_what_was_remembered_in_training_is_forgotten(tiny_transformer: Path, docs) -> None:
    nlp = start_with_transformer(FROZEN, tiny_transformer, docs[:4])
    step(nlp, pair(nlp, docs[:4]))
    (layer,) = frozen_layers(nlp)
    assert len(layer.cache) == 4
    quantize(nlp)
    assert len(layer.cache) == layer.cache.n_bytes == 0


def test_it_does_not_learn(quantized, docs) -> None:
    with pytest.raises(ValueError, match="D452"):
        step(quantized, pair(quantized, docs[:2]))


def test_a_component_can_learn_on_frozen_quantized_ones(trained_path, quantized, docs) -> None:
    nlp = spacy.load(trained_path)
    frozen = ["tok2vec", "crf_ner"]
    nlp.remove_pipe("tok2vec")
    nlp.add_pipe("tok2vec", source=quantized, first=True)
    nlp._link_components()  # which spaCy 3.3 does when it trains
    examples = pair(nlp, docs[:4])
    nlp.update(examples, sgd=nlp.resume_training(), exclude=frozen, annotates=frozen)


def test_labels_can_not_be_added(quantized, docs) -> None:
    before = quantized(docs[0].text)
    labels = {name: quantized.get_pipe(name).labels for name in ("crf_ner", "relation_scorer")}
    for name, known in labels.items():
        with pytest.raises(ValueError, match="D455"):
            quantized.get_pipe(name).add_label("New")
        assert quantized.get_pipe(name).labels == known
    same(quantized(docs[0].text), before, 0)


def test_it_is_not_begun_anew(quantized, docs) -> None:
    before = quantized(docs[0].text)
    with pytest.raises(ValueError, match="D452"):
        quantized.initialize(lambda: pair(quantized, docs))
    same(quantized(docs[0].text), before, 0)


def test_weights_are_loaded_over_it(quantized, docs) -> None:
    before = quantized(docs[0].text)
    same(quantized.from_bytes(quantized.to_bytes())(docs[0].text), before, 0)


def test_there_must_be_something_to_quantize(monkeypatch, trained_path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    with pytest.raises(ValueError, match=r"D451.*sentencizer"):
        quantize(nlp)
    monkeypatch.setattr(layers, "MIN_WEIGHTS", 10**9)
    with pytest.raises(ValueError, match="D451"):
        quantize(spacy.load(trained_path))
    with pytest.raises(ValueError, match="D451"):
        quantize(load_model_from_config(build().config))  # not initialized


def run(*args):
    return CliRunner().invoke(app, ["quantize", *map(str, args)])


def test_the_command(trained_path, quantized, docs, tmp_path: Path) -> None:
    result = run(trained_path, tmp_path / "int8")
    assert result.exit_code == 0, result.output
    assert re.search(r"Quantized 8 layers; saved to .*int8", result.stdout)
    same(spacy.load(tmp_path / "int8")(docs[0].text), quantized(docs[0].text), 0)


def test_the_commands_errors(trained_path, tmp_path: Path) -> None:
    for arguments, code in [
        ((trained_path, trained_path), "D181"),
        ((tmp_path / "none", tmp_path / "out"), "D160"),
    ]:
        result = run(*arguments)
        assert result.exit_code == 1
        assert f"[{code}]" in result.stderr
        assert not (tmp_path / "out").exists()
    spacy.load(trained_path)
