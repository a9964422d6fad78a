from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

import numpy
import pytest
import torch
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model

from spacy_deeper import devices
from spacy_deeper.layers import torch_layer
from spacy_deeper.layers.birnn import BiRNN
from spacy_deeper.layers.char_birnn import CharBiRNN
from spacy_deeper.layers.crf import CRF, viterbi
from spacy_deeper.layers.distmult import DistMult
from spacy_deeper.layers.label_embedding import LabelEmbedding
from spacy_deeper.layers.relation_head import RelationHead
from spacy_deeper.layers.scalar_mix import ScalarMix
from spacy_deeper.layers.torch_layer import shim_of
from spacy_deeper.layers.two_layer_scorer import TwoLayerScorer
from spacy_deeper.training.optimizers import NAdam


class Layer(NamedTuple):
    make: Callable[..., Model]
    sizes: dict[str, int]  # what the constructor can be told
    X: Any
    label_dim: str | None = None


RNG = numpy.random.default_rng(0)
ROWS = RNG.normal(size=(5, 4)).astype("f")
TEXTS = [ROWS[:2], ROWS[:0], ROWS[2:]]
PAIRS = (ROWS, [2, 0, 3])
TAGS = numpy.array([0, 2, 1, 2, 1])
LAYERS = {
    "birnn": Layer(lambda **sizes: BiRNN(6, 2, "lstm", **sizes), {"nI": 4}, TEXTS),
    "char": Layer(lambda: CharBiRNN(6, 3, 13), {}, [Doc(Vocab(), words=["Poe", "was", "born"])]),
    "crf": Layer(
        CRF, {"nO": 3}, ([text[:, :3] for text in TEXTS], [TAGS[:2], TAGS[:0], TAGS[2:]]), "nO"
    ),
    "distmult": Layer(DistMult, {"nI": 4, "nO": 3}, PAIRS, "nO"),
    "head": Layer(lambda **sizes: RelationHead(5, **sizes), {"nI": 4, "nO": 3}, PAIRS, "nO"),
    "labels": Layer(lambda **sizes: LabelEmbedding(3, **sizes), {"nV": 3}, TAGS, "nV"),
    "mix": Layer(ScalarMix, {"layers": 3}, [RNG.normal(size=(2, 3, 4)).astype("f")]),
    "scorer": Layer(lambda **sizes: TwoLayerScorer(5, **sizes), {"nI": 4, "nO": 3}, TEXTS, "nO"),
}
each_layer = pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
each_with_labels = pytest.mark.parametrize(
    "name", [name for name, layer in LAYERS.items() if layer.label_dim]
)


def initialized(layer: Layer) -> Model:
    model = layer.make(**layer.sizes)
    model.initialize()
    for parameter in shim_of(model).module.parameters():
        torch.nn.init.normal_(parameter)
    return model


def predict(model: Model, X: Any) -> list[numpy.ndarray]:
    Y = model.predict(X)
    return [y.copy() for y in Y] if isinstance(Y, list) else [Y.copy()]


def assert_same(one: list[numpy.ndarray], other: list[numpy.ndarray]) -> None:
    for a, b in zip(one, other, strict=True):
        numpy.testing.assert_array_equal(a, b)


def train(model: Model, X: Any, optimizer: Any) -> None:
    Y, backprop = model.begin_update(X)
    backprop([numpy.ones_like(y) for y in Y] if isinstance(Y, list) else numpy.ones_like(Y))
    model.finish_update(optimizer)


@each_layer
def test_bytes_fill_a_layer_that_knows_no_sizes(layer: Layer) -> None:
    model, other = initialized(layer), layer.make()
    other.from_bytes(model.to_bytes())
    assert_same(predict(other, layer.X), predict(model, layer.X))
    assert other.to_bytes() == model.to_bytes()
    train(other, layer.X, NAdam())


@each_layer
def test_disk(layer: Layer, tmp_path) -> None:
    model = initialized(layer)
    model.to_disk(tmp_path / "model")
    other = layer.make().from_disk(tmp_path / "model")
    assert_same(predict(other, layer.X), predict(model, layer.X))


@each_layer
def test_bytes_replace_what_was_learned(layer: Layer) -> None:
    model, other = initialized(layer), initialized(layer)
    other.from_bytes(model.to_bytes())
    assert_same(predict(other, layer.X), predict(model, layer.X))


@each_layer
def test_an_uninitialized_layer(layer: Layer) -> None:
    model = layer.make(**layer.sizes)
    with pytest.raises(ValueError, match=rf"^\[D200\] The layer '{model.name}'"):
        model.predict(layer.X)
    other = layer.make(**layer.sizes)
    other.from_bytes(model.to_bytes())
    assert shim_of(other).module is None
    model.finish_update(NAdam())


def test_decoding_without_a_module() -> None:
    with pytest.raises(ValueError, match=r"^\[D200\] The layer 'crf'"):
        viterbi(CRF(3), LAYERS["crf"].X[0])


@each_layer
def test_a_copy_is_another_layer(layer: Layer) -> None:
    model = initialized(layer)
    before = predict(model, layer.X)
    copy = model.copy()
    assert_same(predict(copy, layer.X), before)
    train(copy, layer.X, NAdam(0.1))
    assert_same(predict(model, layer.X), before)
    changed = predict(copy, layer.X)
    assert any(numpy.abs(a - b).max(initial=0) > 1e-4 for a, b in zip(changed, before, strict=True))


def test_an_optimizer_tells_a_copy_from_its_original() -> None:
    """Else both would share their moments."""
    model = initialized(LAYERS["scorer"])
    assert shim_of(model.copy()).id != shim_of(model).id


def resized(name: str, old: int, new: int) -> tuple[Model, dict, dict]:
    """Return a layer with `new` labels after it had `old`, and its weights then and now."""
    layer = LAYERS[name]
    model = initialized(layer._replace(sizes={**layer.sizes, layer.label_dim: old}))
    shim = shim_of(model)
    before = {key: value.clone() for key, value in shim.module.state_dict().items()}
    model.set_dim(layer.label_dim, new, force=True)
    key = "num_embeddings" if name == "labels" else "nO"
    shim.resize(**{key: new})
    return model, before, shim.module.state_dict()


@each_with_labels
def test_resizing_keeps_what_was_learned(name: str) -> None:
    model, before, after = resized(name, 3, 5)
    assert before.keys() == after.keys()
    grown = 0
    for key, old in before.items():
        assert all(new >= size for new, size in zip(after[key].shape, old.shape, strict=True))
        torch.testing.assert_close(after[key][tuple(map(slice, old.shape))], old, rtol=0, atol=0)
        assert torch.isfinite(after[key]).all()
        grown += after[key].numel() - old.numel()
    assert grown > 0
    layer = LAYERS[name]
    other = layer.make().from_bytes(model.to_bytes())
    assert other.get_dim(layer.label_dim) == 5
    assert shim_of(other).module.state_dict().keys() == after.keys()
    assert all((shim_of(other).module.state_dict()[key] == after[key]).all() for key in after)


@each_with_labels
def test_a_resized_layer_trains_on_with_the_same_optimizer(name: str) -> None:
    layer, optimizer = LAYERS[name], NAdam()
    model = initialized(layer)
    train(model, layer.X, optimizer)
    model.set_dim(layer.label_dim, 5, force=True)
    shim_of(model).resize(**{"num_embeddings" if name == "labels" else "nO": 5})
    X = layer.X
    if name == "crf":
        X = ([numpy.hstack([text, text[:, :2]]) for text in X[0]], X[1])
    before = predict(model, X)
    train(model, X, optimizer)
    after = predict(model, X)
    assert any(numpy.abs(a - b).max(initial=0) > 1e-6 for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("name", ["scorer", "distmult", "labels"])
def test_old_labels_score_as_before(name: str) -> None:
    layer = LAYERS[name]
    model, before, _ = resized(name, 3, 5)
    old = initialized(layer)
    shim_of(old).module.load_state_dict(before)
    for one, other in zip(predict(model, layer.X), predict(old, layer.X), strict=True):
        numpy.testing.assert_allclose(one[..., : other.shape[-1]], other, atol=1e-5)


def test_old_relations_change_by_the_distmult_of_new_ones_only() -> None:
    """FFNN(r2) reads the DISTMULT scores of all relations, of the new ones too (equation 6)."""
    model, before, after = resized("head", 3, 5)
    old = initialized(LAYERS["head"])
    shim_of(old).module.load_state_dict(before)
    new_columns = after["r2.weight"][:3, -2:].numpy()
    diagonals = after["distmult.diagonals"][3:].numpy()
    texts = [ROWS[:2], ROWS[:0], ROWS[2:]]
    for one, other, g in zip(predict(model, PAIRS), predict(old, PAIRS), texts, strict=True):
        distmult = numpy.einsum("ip,kp,jp->ijk", g, diagonals, g)
        distmult[range(len(g)), range(len(g))] = 0  # an entity is not related to itself
        numpy.testing.assert_allclose(one[..., :3], other + distmult @ new_columns.T, atol=1e-4)


def test_old_tags_score_as_before() -> None:
    """Of a text whose new tags are out of the question, the likelihood stays."""
    model, before, _ = resized("crf", 3, 5)
    old = initialized(LAYERS["crf"])
    shim_of(old).module.load_state_dict(before)
    emissions, tags = LAYERS["crf"].X
    wider = [numpy.hstack([text, numpy.full((len(text), 2), -1e3, "f")]) for text in emissions]
    numpy.testing.assert_allclose(
        model.predict((wider, tags)), old.predict((emissions, tags)), atol=1e-4
    )


def test_input_of_another_width():
    model = BiRNN(width=4, depth=1, nI=3)
    model.initialize()
    with pytest.raises(ValueError, match=r"\[D215\].*width 3 and got 5"):
        model.predict([numpy.zeros((2, 5), dtype="f")])


@pytest.mark.parametrize("setting", ["embed_size", "rows", "max_chars"])
def test_sizes_are_positive(setting):
    with pytest.raises(ValueError, match=rf"\[D216\].*{setting}.*not 0"):
        CharBiRNN(**{setting: 0})


def test_memory_is_returned_in_training(monkeypatch) -> None:
    """Now and then, whatever layer learns."""
    returned = []
    monkeypatch.setattr(torch_layer, "RETURN_EVERY", 3)
    monkeypatch.setattr(torch_layer, "UPDATES", count(1))
    monkeypatch.setattr(torch_layer, "return_memory", lambda: returned.append(True))
    model = CRF(3)
    model.initialize()
    for number in range(1, 10):
        model.finish_update(lambda key, weights, gradient: (weights, gradient))
        assert len(returned) == number // 3


@pytest.mark.parametrize("library", [object(), OSError, TypeError])
def test_a_c_library_that_can_not_return_memory(monkeypatch, library) -> None:
    """It lacks the function, or Python does not find it."""

    def load(name: None) -> Any:
        if isinstance(library, type):
            raise library
        return library

    monkeypatch.setattr(devices.ctypes, "CDLL", load)
    devices.return_memory()
