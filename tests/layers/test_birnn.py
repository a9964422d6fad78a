import numpy
import pytest
import torch

from spacy_deeper.layers.birnn import BiRNN
from spacy_deeper.layers.pytorch.birnn import StackedBiRNN
from spacy_deeper.layers.torch_layer import shim_of

LENGTHS = [3, 0, 7, 1, 3, 0]
CELLS = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}
NI, NO = 5, 6


def torch_twin(module: StackedBiRNN, cell: str, depth: int) -> torch.nn.RNNBase:
    """torch's own stack of layers, with our weights."""
    twin = CELLS[cell](NI, NO // 2, num_layers=depth, bidirectional=True, batch_first=True)
    weights = {}
    for name, value in module.state_dict().items():
        _, layer, kind = name.split(".")  # e.g. layers.1.weight_ih_l0_reverse
        weights[kind.replace("_l0", f"_l{layer}")] = value
    twin.load_state_dict(weights)
    return twin.to(next(module.parameters()).dtype)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_each_text_is_encoded_as_by_torch_alone(cell: str, depth: int) -> None:
    module = StackedBiRNN(NI, NO, depth, cell).double()
    twin = torch_twin(module, cell, depth)
    rows = torch.randn(sum(LENGTHS), NI, dtype=torch.float64)
    encoded = module(rows, torch.tensor(LENGTHS))
    assert encoded.shape == (sum(LENGTHS), NO)
    for text, output in zip(rows.split(LENGTHS), encoded.split(LENGTHS), strict=True):
        if len(text):
            torch.testing.assert_close(output, twin(text[None])[0][0])


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_a_text_does_not_depend_on_its_neighbours(cell: str, depth: int) -> None:
    model = BiRNN(NO, depth, cell, nI=NI)
    model.initialize()
    rng = numpy.random.default_rng(0)
    texts = [rng.normal(size=(length, NI)).astype("f") for length in LENGTHS]
    together = model.predict(texts)
    backwards = model.predict(texts[::-1])[::-1]
    assert [text.shape for text in together] == [(length, NO) for length in LENGTHS]
    for text, output, other in zip(texts, together, backwards, strict=True):
        numpy.testing.assert_allclose(output, model.predict([text])[0], atol=1e-6)
        numpy.testing.assert_allclose(output, other, atol=1e-6)


@pytest.mark.parametrize("n_texts", [1, 3])
def test_no_tokens(n_texts: int) -> None:
    model = BiRNN(NO, 2, nI=NI)
    model.initialize()
    texts = [numpy.zeros((0, NI), "f")] * n_texts
    outputs, backprop = model.begin_update(texts)
    assert [output.shape for output in outputs] == [(0, NO)] * n_texts
    assert [d.shape for d in backprop(outputs)] == [(0, NI)] * n_texts
    model.finish_update(lambda key, weights, gradient: (weights, gradient))


def test_both_directions_see_the_whole_text() -> None:
    model = BiRNN(NO, 1, nI=NI)
    model.initialize()
    text = numpy.random.default_rng(0).normal(size=(4, NI)).astype("f")
    before = model.predict([text])[0]
    text[1] += 1
    changed = numpy.abs(model.predict([text])[0] - before) > 1e-6
    forward, backward = changed[:, : NO // 2], changed[:, NO // 2 :]
    assert forward.any(axis=1).tolist() == [False, True, True, True]
    assert backward.any(axis=1).tolist() == [True, True, False, False]


def test_depth_0_is_the_identity() -> None:
    model = BiRNN(NO, 0)
    texts = [numpy.random.default_rng(0).normal(size=(n, NO)).astype("f") for n in (2, 0)]
    model.initialize(X=texts)
    outputs, backprop = model.begin_update(texts)
    for output, gradient, text in zip(outputs, backprop(texts), texts, strict=True):
        numpy.testing.assert_array_equal(output, text)
        numpy.testing.assert_array_equal(gradient, text)
    assert not any(node.shims or node.param_names for node in model.walk())


def test_the_input_width_is_found_from_the_data() -> None:
    model = BiRNN(NO, 2)
    model.initialize(X=[numpy.zeros((0, 9), "f"), numpy.zeros((3, 9), "f")])
    assert model.get_dim("nI") == 9
    assert shim_of(model).module.layers[0].input_size == 9
    assert shim_of(model).module.layers[1].input_size == NO


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"width": 5, "depth": 1}, "D202"),
        ({"width": 0, "depth": 1}, "D202"),
        ({"width": 4, "depth": -1}, "D204"),
        ({"width": 4, "depth": 1, "cell": "rnn"}, "D203"),
        ({"width": 4, "depth": 1, "dropout": 1.0}, "D201"),
        ({"width": 4, "depth": 1, "dropout": -0.1}, "D201"),
    ],
)
def test_settings_that_can_not_be(settings: dict, code: str) -> None:
    with pytest.raises(ValueError, match=rf"^\[{code}\]"):
        BiRNN(**settings)
