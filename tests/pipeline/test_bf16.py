"""Pipelines whose products are in bfloat16, which has 8 bits for the digits of a number."""

from pathlib import Path

import numpy
import pytest
import spacy
import torch
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from thinc.api import Config
from typer.testing import CliRunner

from spacy_deeper import devices, evaluation
from spacy_deeper.cli import app
from spacy_deeper.devices import autocasts, can_bf16, has_bf16
from spacy_deeper.layers.pytorch import quantize as layers
from spacy_deeper.quantization import quantize

from .joint import ents_of, fit, pair, relations_of, same, start, start_with_transformer, step
from .test_fine_tuning import FINE_TUNED
from .test_quantization import FROZEN, off

# The tiny transformer's words are cut off, every letter of theirs being a piece.
pytestmark = pytest.mark.filterwarnings(r"ignore:\[DW202\]:UserWarning")

# Differences of a unit in the last place of 8 bits add up, over layers.
NEAR = 0.1

COMMITTEE = """
[components]

[components.tok2vec]

[components.tok2vec.model]

[components.tok2vec.model.embed]

[components.tok2vec.model.embed.char]
members = 2

[components.tok2vec.model.encode]
members = 2
own_input = 16

[components.crf_ner]
threshold = 0.5

[components.crf_ner.model]
members = 2

[components.crf_ner.model.encode]
members = 2

[components.relation_scorer]

[components.relation_scorer.model]
entity = "ends"

[components.relation_scorer.model.encode]
members = 2

[components.relation_scorer.model.head]
members = 2
context = "between"
distance = true
type_pairs = true
scorer_hidden = 8
"""


DISTMULT = """
[components]

[components.relation_scorer]

[components.relation_scorer.model]

[components.relation_scorer.model.head]
@layers = "spacy_deeper.DistMult.v1"
"""


@pytest.fixture
def has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let any processor count as one that has instructions for it: torch does without."""
    monkeypatch.setattr(devices, "has_bf16", lambda: True)


def autocast(nlp: Language, texts: list[str]) -> list[Doc]:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return list(nlp.pipe(texts))


def assert_near(nlp: Language, texts: list[str]) -> None:
    """Assert that the shared layers' outputs are near those in single precision, and not equal."""
    before = [doc.tensor for doc in nlp.pipe(texts)]
    after = [doc.tensor for doc in autocast(nlp, texts)]
    differences = [abs(a - b).max(initial=0) for a, b in zip(before, after, strict=True)]
    assert 0 < max(differences) < NEAR
    assert {tensor.dtype for tensor in after} == {numpy.dtype("float32")}


def test_a_pipeline_predicts_nearly_the_same(trained, docs) -> None:
    texts = [doc.text for doc in docs]
    before, after = list(trained.pipe(texts)), autocast(trained, texts)
    assert any(relations_of(doc) for doc in before)
    assert sum(ents_of(a) == ents_of(b) for a, b in zip(before, after, strict=True)) >= 19
    assert sum(relations_of(a) == relations_of(b) for a, b in zip(before, after, strict=True)) >= 19
    assert_near(trained, texts)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("changes", ["", COMMITTEE, DISTMULT], ids=["", "committee", "distmult"])
def test_our_layers_take_it(docs, cell: str, changes: str) -> None:
    texts = [doc.text for doc in docs]
    nlp, examples = start(docs, cell=cell, threshold=0.0, overrides=Config().from_str(changes))
    fit(nlp, examples, epochs=2)
    assert_near(nlp, [*texts, ""])
    for doc, exact in zip(autocast(nlp, texts), nlp.pipe(texts), strict=True):
        if ents_of(doc) == ents_of(exact):
            same(doc, exact, NEAR)


def test_nothing_learns_in_it(docs) -> None:
    nlp, examples = start(docs)
    with torch.autocast("cpu", dtype=torch.bfloat16), pytest.raises(ValueError, match="D231"):
        step(nlp, examples)


def test_weights_of_8_bits_take_it(trained_path, docs, monkeypatch) -> None:
    monkeypatch.setattr(layers, "MIN_WEIGHTS", 1)
    nlp = spacy.load(trained_path)
    quantize(nlp)
    texts = [doc.text for doc in docs]
    for doc, exact in zip(autocast(nlp, texts), nlp.pipe(texts), strict=True):
        same(doc, exact, 1e-4)


@pytest.mark.parametrize("changes", [FROZEN, FINE_TUNED], ids=["frozen", "fine-tuned"])
def test_transformers_take_it(tiny_transformer: Path, docs, changes: str) -> None:
    nlp = start_with_transformer(changes, tiny_transformer, docs[:4])
    assert_near(nlp, [doc.text for doc in docs[:4]])


@pytest.mark.parametrize("layers", ["all", "last"])
def test_mixed_precision_is_bf16_on_the_cpu(has_it, tiny_transformer, docs, layers) -> None:
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    plain, nlp = (
        start_with_transformer(
            FINE_TUNED,
            tiny_transformer,
            docs[:4],
            layers=layers,
            mixed_precision=lower,
            transformer_config=no_dropout,
        )
        for lower in (False, True)
    )
    assert 0 < off(nlp, plain, docs[0].text) < NEAR
    transformer = nlp.get_pipe("transformer").model.layers[0].shims[0]._model
    examples = pair(nlp, docs[:4])
    for pipeline in (nlp, plain):
        step(pipeline, examples)
    expected = plain.get_pipe("transformer").model.layers[0].shims[0]._model
    found = dict(transformer.named_parameters())
    checked = 0
    for name, parameter in expected.named_parameters():
        if parameter.grad is None or parameter.grad.norm() < 1e-6:
            continue
        gradient = found[name].grad
        assert gradient.dtype == torch.float32
        assert torch.cosine_similarity(gradient.ravel(), parameter.grad.ravel(), dim=0) > 0.99
        checked += 1
    assert checked > 20


def test_mixed_precision_is_saved(has_it, tiny_transformer, docs, tmp_path: Path) -> None:
    nlp = start_with_transformer(FINE_TUNED, tiny_transformer, docs[:4], mixed_precision=True)
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert off(loaded, nlp, docs[0].text) == 0
    exact = {"components.transformer.model.mixed_precision": False}
    assert 0 < off(spacy.load(tmp_path, config=exact), nlp, docs[0].text) < NEAR


def test_without_instructions_it_warns(monkeypatch, tiny_transformer, docs) -> None:
    monkeypatch.setattr(devices, "has_bf16", lambda: False)
    with pytest.warns(UserWarning, match="DW164"):
        assert not can_bf16()
    assert not can_bf16(False)
    with pytest.warns(UserWarning, match="DW164"):
        nlp = start_with_transformer(FINE_TUNED, tiny_transformer, docs[:4], mixed_precision=True)
    plain = start_with_transformer(FINE_TUNED, tiny_transformer, docs[:4])
    assert off(nlp, plain, docs[0].text) == 0


def test_the_processor_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "_is_amx_tile_supported"
    for known in ("_is_avx512_bf16_supported", name):
        monkeypatch.delattr(torch.cpu, known, raising=False)
    assert not has_bf16()  # as with an old torch
    for answer in (False, True):
        monkeypatch.setattr(torch.cpu, name, lambda answer=answer: answer, raising=False)
        assert has_bf16() is answer


@pytest.mark.parametrize("option", [[], ["--bf16"]])
def test_evaluate(has_it, monkeypatch, trained_path, docs, tmp_path: Path, option) -> None:
    seen = []
    evaluate = evaluation.evaluate

    def watched(*args):
        seen.append(autocasts())
        return evaluate(*args)

    monkeypatch.setattr(evaluation, "evaluate", watched)
    data = tmp_path / "data.spacy"
    DocBin(docs=docs, store_user_data=True).to_disk(data)
    result = CliRunner().invoke(app, ["evaluate", str(trained_path), str(data), *option])
    assert result.exit_code == 0, result.output
    assert seen == [bool(option)]
    assert not autocasts()


@pytest.mark.parametrize("command", ["evaluate", "annotate"])
def test_the_commands_are_for_the_cpu(trained_path, tmp_path: Path, command: str) -> None:
    data = tmp_path / "texts.txt"
    data.write_text("Ann left Oslo.\n")
    paths = [trained_path, data, tmp_path / "out.jsonl"][: 3 if command == "annotate" else 2]
    result = CliRunner().invoke(app, [command, *map(str, paths), "--bf16", "--gpu-id", "0"])
    assert result.exit_code == 1
    assert "[D166]" in result.stderr
