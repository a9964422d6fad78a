"""A transformer in front, trained with the rest, at a rate of its own."""

from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
import torch
from spacy.cli.train import train
from spacy.errors import Errors
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training import Example
from spacy.util import fix_random_seed, load_model_from_config
from thinc.api import Adam, Config
from transformers import AutoModel
from transformers.file_utils import ModelOutput

from spacy_deeper.cli.merge_config import merge_configs
from spacy_deeper.training.layered_optimizer import Layered, name_parameters

from .joint import JOINT, pair, relations_of, same, step

FINE_TUNED = """
[nlp]
pipeline = ["transformer","tok2vec","crf_ner","relation_scorer"]

[components]

[components.transformer]
factory = "transformer"

[components.transformer.model]
@architectures = "spacy_deeper.TransformerModel.v1"
name = "NAME"

[components.transformer.model.get_spans]
@span_getters = "spacy-transformers.strided_spans.v1"
window = 6
stride = 3

[components.tok2vec]

[components.tok2vec.model]

[components.tok2vec.model.embed]

[components.tok2vec.model.embed.contextual]
@architectures = "spacy-transformers.TransformerListener.v1"

[components.tok2vec.model.embed.contextual.pooling]
@layers = "reduce_mean.v1"
"""
CONFIGS = Path(__file__).parents[2] / "configs"
OVERLAYS = ["conll04", "conll04_best", "conll04_finetune"]
TEXTS = ["Ann left Oslo .", "", "She went to Nairobi ."]

# The tiny transformer's words are cut off, every letter of theirs being a piece.
pytestmark = pytest.mark.filterwarnings(r"ignore:\[DW202\]:UserWarning")


def build(path: Path | str, pipeline: list[str] | None = None, **settings: Any) -> Language:
    fix_random_seed(0)
    changes = Config().from_str(FINE_TUNED.replace("NAME", str(path)))
    config = Config().from_str(JOINT).merge(changes)
    config["nlp"]["pipeline"] = pipeline or config["nlp"]["pipeline"]
    config["components"]["transformer"]["model"].update(settings)
    return load_model_from_config(config, auto_fill=True)


def start(path: Path | str, docs) -> tuple[Language, list[Example]]:
    nlp = build(path)
    examples = pair(nlp, docs)
    nlp.initialize(lambda: examples)
    return nlp, examples


def transformer(nlp: Language) -> torch.nn.Module:
    return nlp.get_pipe("transformer").model.transformer


def weights(module: torch.nn.Module) -> dict[str, numpy.ndarray]:
    return {name: value.detach().numpy().copy() for name, value in module.named_parameters()}


def gradients_of(nlp: Language) -> dict[str, numpy.ndarray]:
    named = transformer(nlp).named_parameters()
    return {name: value.grad.numpy().copy() for name, value in named if value.grad is not None}


def fit(nlp: Language, examples: list[Example], optimizer, epochs: int) -> list[dict[str, float]]:
    losses = []
    for _ in range(epochs):
        name_parameters(nlp)
        losses.append(step(nlp, examples, optimizer))
        optimizer.step_schedules()
    return losses


@pytest.fixture(scope="module")
def fitted(tiny_transformer: Path, docs) -> Language:
    nlp, examples = start(tiny_transformer, docs[:10])
    adam = {"use_averages": False}
    optimizer = Layered(Adam(0.03, **adam), {"transformer": Adam(0.003, **adam)}, grad_norm=1.0)
    losses = fit(nlp, examples, optimizer, 60)
    for name in ("crf_ner", "relation_scorer"):
        assert losses[-1][name] < losses[0][name] / 5
    return nlp


def test_the_gradient_reaches_the_transformer_from_both_tasks(tiny_transformer, docs) -> None:
    nlp, examples = start(tiny_transformer, docs[:10])
    step(nlp, examples)
    gradients = {name: abs(value).sum() for name, value in gradients_of(nlp).items()}
    assert {name for name in weights(transformer(nlp)) if "pooler" not in name} <= gradients.keys()
    assert all(gradients[name] > 0 for name in gradients if name.endswith("value.weight"))
    ner_alone = float(transformer(nlp).embeddings.word_embeddings.weight.grad.abs().sum())
    nlp, examples = start(tiny_transformer, docs[:10])
    nlp.get_pipe("relation_scorer").loss_weight = 0.0
    step(nlp, examples)
    other = float(transformer(nlp).embeddings.word_embeddings.weight.grad.abs().sum())
    assert other != pytest.approx(ner_alone, rel=1e-3)


def test_components_that_annotate_take_no_gradient_away(tiny_transformer, docs) -> None:
    found = []
    for annotates in ([], ["transformer", "tok2vec", "crf_ner"]):
        nlp, examples = start(tiny_transformer, docs[:10])
        step(nlp, examples, annotates=annotates)
        found.append(gradients_of(nlp))
    assert found[0].keys() == found[1].keys()
    for name, value in found[0].items():
        numpy.testing.assert_allclose(found[1][name], value, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("rate", [0.0, 1e-3])
def test_the_transformer_has_its_own_rate(tiny_transformer, docs, rate: float) -> None:
    """Adam's first step is the rate itself, wherever there is a gradient."""
    nlp, examples = start(tiny_transformer, docs[:10])
    before = weights(transformer(nlp))
    adam = {"use_averages": False, "eps": 1e-12}
    optimizer = Layered(Adam(0.05, **adam), {"transformer": Adam(rate, **adam)})
    shared = nlp.get_pipe("tok2vec").model.get_ref("encode").shims[0].module
    old = weights(shared)
    fit(nlp, examples, optimizer, 1)
    after = weights(transformer(nlp))
    largest = max(numpy.abs(after[name] - before[name]).max() for name in before)
    assert largest == pytest.approx(rate, rel=1e-2)
    moved = max(abs(value - old[name]).max() for name, value in weights(shared).items())
    assert moved == pytest.approx(0.05, rel=1e-2)


def test_all_layers_side_by_side(tiny_transformer, docs, tmp_path) -> None:
    """What listeners read, and the gradient of each layer's own part."""
    nlp = build(tiny_transformer, layers="all")
    examples = pair(nlp, docs[:10])
    nlp.initialize(lambda: examples)
    module, listener = transformer(nlp), nlp.get_pipe("tok2vec").model.get_ref("embed")
    config = module.config
    width = (1 + config.num_hidden_layers) * config.hidden_size
    assert nlp.get_pipe("transformer").model.get_dim("nO") == width
    assert listener.get_dim("nO") >= width
    model, texts = nlp.get_pipe("transformer").model, [docs[0], nlp.make_doc(""), docs[1]]
    for layer in module.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
        if hasattr(layer, "dropout_prob"):  # of the attention
            layer.dropout_prob = 0.0
    batch, backprop = model.begin_update(texts)
    words, seen = batch.wordpieces, batch.model_output.last_hidden_state
    ids, mask = (torch.tensor(x).long() for x in (words.input_ids, words.attention_mask))
    hidden = module(ids, attention_mask=mask, output_hidden_states=True).hidden_states
    joined = torch.cat(hidden, dim=-1)
    torch.testing.assert_close(torch.as_tensor(seen), joined.detach())
    d_joined = torch.randn_like(joined)
    parameter = module.encoder.layer[0].output.dense.weight
    (expected,) = torch.autograd.grad(joined, parameter, d_joined)
    batch.model_output = ModelOutput(last_hidden_state=d_joined)
    backprop(batch)
    torch.testing.assert_close(parameter.grad, expected)
    losses = fit(nlp, examples, Layered(Adam(0.02, use_averages=False)), 30)
    assert losses[-1]["crf_ner"] < losses[0]["crf_ner"] / 2
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    for doc in docs[:5]:
        same(loaded(doc.text), nlp(doc.text))


@pytest.mark.parametrize(("n_layers", "code"), [(-1, "D218"), (99, "D291")])
def test_layers_that_can_not_be_frozen(tiny_transformer, docs, n_layers: int, code: str) -> None:
    with pytest.raises(ValueError, match=rf"\[{code}\]"):
        build(tiny_transformer, frozen_layers=n_layers).initialize(
            lambda: pair(build(tiny_transformer), docs[:3])
        )


@pytest.mark.parametrize("n_layers", [0, 1])
def test_frozen_layers(tiny_transformer, docs, tmp_path, n_layers: int) -> None:
    """They stay as they are, in a loaded pipeline too, and the layers above them learn."""
    nlp = build(tiny_transformer, frozen_layers=n_layers)
    nlp.initialize(lambda: pair(nlp, docs[:10]))
    nlp.to_disk(tmp_path)
    nlp = spacy.load(tmp_path)
    before = weights(transformer(nlp))
    fit(nlp, pair(nlp, docs[:10]), Layered(Adam(0.01, use_averages=False)), 2)
    moved = {
        name for name, value in weights(transformer(nlp)).items() if (value != before[name]).any()
    }
    frozen = {
        name
        for name in before
        if name.startswith(("embeddings.", *(f"encoder.layer.{i}." for i in range(n_layers))))
    }
    unused = {name for name in before if name.startswith("pooler.")}
    assert moved == before.keys() - frozen - unused


@pytest.mark.parametrize("loaded", [False, True])
def test_averages_of_every_component(tiny_transformer, docs, tmp_path, loaded: bool) -> None:
    """Each optimizer's own, by Thinc's formula: what has no average stays as it is."""
    nlp, examples = start(tiny_transformer, docs[:10])
    if loaded:
        nlp.to_disk(tmp_path)
        nlp = spacy.load(tmp_path)
        examples = pair(nlp, docs[:10])
    shared = nlp.get_pipe("tok2vec").model.get_ref("encode").shims[0].module
    modules = (transformer(nlp), shared)
    optimizer = Layered(
        Adam(0.05, use_averages=False), {"transformer": Adam(0.01, use_averages=True)}
    )
    expected: dict[str, numpy.ndarray] = {}
    for t in range(1, 4):
        fit(nlp, examples, optimizer, 1)
        decay = (1 + t) / (10 + t)
        now = [weights(module) for module in modules]
        expected = {k: (1 - decay) * v + decay * expected.get(k, 0) for k, v in now[0].items()}
    # Parameters without a gradient are never updated, nor averaged.
    expected = {k: v for k, v in expected.items() if "pooler" not in k}
    with nlp.use_params(optimizer.averages):
        averaged, same_as_before = (weights(module) for module in modules)
        for name, value in expected.items():
            numpy.testing.assert_allclose(averaged[name], value, atol=1e-6)
    assert any(abs(averaged[name] - now[0][name]).max() > 1e-3 for name in expected)
    for name, value in now[1].items():
        numpy.testing.assert_array_equal(same_as_before[name], value)
    for module, values in zip(modules, now, strict=True):
        for name, value in weights(module).items():
            numpy.testing.assert_array_equal(value, values[name])


def test_a_frozen_transformer_must_annotate(tiny_transformer, docs) -> None:
    nlp, examples = start(tiny_transformer, docs[:10])
    before, frozen = weights(transformer(nlp)), ["transformer"]
    # spaCy's own error; spacy-transformers before 1.2 raises one that says nothing.
    with pytest.raises(ValueError, match=r"\[E203\]" if hasattr(Errors, "E203") else r"^$"):
        nlp.update(examples, exclude=frozen)
    losses = [
        nlp.update(examples, sgd=Adam(0.01), losses={}, exclude=frozen, annotates=frozen)
        for _ in range(3)
    ]
    assert losses[2]["crf_ner"] < losses[0]["crf_ner"]
    for name, value in weights(transformer(nlp)).items():
        numpy.testing.assert_array_equal(value, before[name])


def test_the_config_trains(tiny_transformer, docs, tmp_path) -> None:
    """By `spacy train`, which makes the optimizer after it has named the parameters: first with
    the transformer frozen, then from there on."""
    DocBin(docs=docs, store_user_data=True).to_disk(tmp_path / "docs.spacy")
    overrides = {f"paths.{name}": str(tmp_path / "docs.spacy") for name in ("train", "dev")}
    overrides |= {"vars.encoder": str(tiny_transformer), "vars.width": 24}
    overrides |= {"training.max_steps": 3, "training.eval_frequency": 2}
    contextual = "components.tok2vec.model.embed.contextual"
    spans = "components.transformer.model.get_spans"
    for name, overlays, windows in (
        ("frozen", OVERLAYS[:-1], contextual),
        ("out", OVERLAYS, spans),
    ):
        short = {f"{windows}.window": 12, f"{windows}.stride": 6}
        merged = merge_configs(*(CONFIGS / f"{part}.cfg" for part in ("base", *overlays)))
        merged.to_disk(tmp_path / "config.cfg")
        train(tmp_path / "config.cfg", tmp_path / name, overrides={**overrides, **short})
        # Thinc's averages of three steps still lean towards zero.
        overrides["training.optimizer.components.transformer.use_averages"] = False
        overrides["paths.start"] = str(tmp_path / "frozen" / "model-last")
    after = weights(transformer(spacy.load(tmp_path / "out" / "model-last")))
    before = weights(AutoModel.from_pretrained(tiny_transformer))
    types = "embeddings.token_type_embeddings.weight"  # of each casing, copies of the first
    before[types] = before[types][:1].repeat(len(after[types]), axis=0)
    largest = max(abs(after[name] - before[name]).max() for name in before)
    # A step of Adam's is at most the rate: it warms up to 1.3e-4, the transformer's, in 116 steps.
    assert 0 < largest < 1.1 * 1.3e-4 * (0 + 1 + 2 + 3) / 116


def test_saved_and_loaded(fitted, docs, tmp_path) -> None:
    fitted.to_disk(tmp_path / "saved")
    loaded = spacy.load(tmp_path / "saved")
    assert any(relations_of(fitted(doc.text)) for doc in docs)
    for doc in docs:
        same(loaded(doc.text), fitted(doc.text))


def test_a_batch_is_its_texts_one_by_one(fitted, docs) -> None:
    texts = ["", docs[0].text, "  ", *TEXTS, docs[1].text]
    for doc, text in zip(fitted.pipe(texts), texts, strict=True):
        same(doc, fitted(text), 1e-4)
    assert list(fitted.pipe(["", ""]))


def test_an_empty_text_among_others_in_training(tiny_transformer, docs) -> None:
    nlp, examples = start(tiny_transformer, docs[:3])
    empty = Example(nlp.make_doc(""), nlp.make_doc(""))
    losses = step(nlp, [empty, *examples[:1], empty, *examples[1:], empty])
    assert losses["crf_ner"] > 0
    found = gradients_of(nlp)
    nlp, examples = start(tiny_transformer, docs[:3])
    step(nlp, examples)
    for name, value in gradients_of(nlp).items():
        numpy.testing.assert_allclose(found[name], value, atol=1e-5, err_msg=name)


def test_a_missing_folder(docs) -> None:
    with pytest.raises(ValueError, match=r"^\[D207\].*no_such_folder"):
        start("no_such_folder", docs[:3])


@pytest.mark.parametrize("pipeline", [["tok2vec"], ["tok2vec", "transformer"]])
def test_no_transformer_in_front(tiny_transformer, docs, pipeline: list[str]) -> None:
    nlp = build(tiny_transformer, pipeline)
    with pytest.raises(ValueError, match=r"^\[D268\]"):
        nlp.initialize(lambda: pair(nlp, docs[:3]))


def test_the_saved_name_is_no_path_of_this_machine(monkeypatch, tiny_transformer, docs) -> None:
    from spacy_deeper.models import transformer as module

    monkeypatch.setattr(module, "local_path", lambda name: str(tiny_transformer))
    nlp, _ = start("some/model", docs[:3])
    assert nlp.get_pipe("transformer").model.attrs["name"] == "some/model"


def test_a_text_longer_than_the_encoder_takes_is_warned_of(fitted) -> None:
    with pytest.warns(UserWarning, match=r"^\[DW202\].*more than the 32"):
        fitted("internationalization of telecommunication services")
