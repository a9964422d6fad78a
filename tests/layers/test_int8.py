"""Layers with weights of 8 bits, compared with what numpy makes of their whole numbers."""

import os
import subprocess
import sys
from copy import deepcopy

import numpy
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from spacy_deeper.layers.pytorch import int8_product
from spacy_deeper.layers.pytorch.birnn import StackedBiRNN
from spacy_deeper.layers.pytorch.fast_gru import GRU
from spacy_deeper.layers.pytorch.int8 import BLOCK, Int8GRU, Int8Linear, Int8LSTM, quantize_rows
from spacy_deeper.layers.pytorch.packing import time_major_order
from spacy_deeper.layers.pytorch.quantize import int8_layers, quantizable_layers, to_int8

LAYERS = {"gru": (GRU, Int8GRU), "lstm": (nn.LSTM, Int8LSTM)}
WIDE = 160  # a layer of so many inputs and outputs is large enough


@pytest.fixture(params=["vnni", "int_mm", "float"])
def either_product(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take one of torch's int8 products, or do without."""
    there = {"vnni": int8_product.has_vnni(), "int_mm": int8_product.has_int_mm(), "float": True}
    if not there[request.param]:
        pytest.skip("this torch has no such product on this CPU")
    monkeypatch.setattr(int8_product, "MIN_OUTPUTS", 0)
    monkeypatch.setattr(int8_product, "has_vnni", lambda: request.param == "vnni")
    monkeypatch.setattr(int8_product, "has_int_mm", lambda: request.param != "float")


def rounded(x: numpy.ndarray) -> numpy.ndarray:
    """Round each row to 127 steps of its largest number, in double precision."""
    step = numpy.abs(x).max(-1, keepdims=True) / 127
    return numpy.rint(x / step) * step


def random_linear(n_in: int, n_out: int, bias: bool = True) -> nn.Linear:
    linear = nn.Linear(n_in, n_out, bias=bias)
    nn.init.normal_(linear.weight)
    linear.weight.data[0] *= 1000  # does not make other rows coarse
    return linear


@pytest.mark.usefixtures("either_product")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7,), (1,), (3, 5), (0,), (BLOCK + 3,)])
def test_a_linear_layer_multiplies_rounded_inputs_and_weights(
    shape: tuple[int, ...], bias: bool
) -> None:
    linear = random_linear(24, 16, bias)
    x = torch.randn(*shape, 24)
    weight = rounded(linear.weight.detach().double().numpy())
    expected = rounded(x.double().numpy()) @ weight.T if x.numel() else numpy.zeros((*shape, 16))
    if bias:
        expected += linear.bias.detach().numpy()
    found = Int8Linear(linear).eval()(x)
    assert found.shape == (*shape, 16)
    assert found.dtype == torch.float32
    # A number in the middle of two steps may go either way in single precision.
    error = numpy.abs(found.numpy() - expected) / numpy.abs(weight).max(1)
    assert numpy.all(error < 0.02)
    assert numpy.median(error) < 1e-4 if error.size else True


@pytest.mark.usefixtures("either_product")
def test_weights_loaded_later_count() -> None:
    layer, other = (Int8Linear(random_linear(24, 16)).eval() for _ in range(2))
    x = torch.randn(5, 24)
    assert not torch.equal(layer(x), other(x))
    layer.load_state_dict(other.state_dict())
    assert torch.equal(layer(x), other(x))
    assert torch.equal(deepcopy(layer)(x), other(x))


@pytest.mark.usefixtures("either_product")
def test_layers_joined_are_the_same() -> None:
    layers = [Int8Linear(random_linear(24, n)).eval() for n in (16, 8)]
    x = torch.randn(3, 5, 24)
    expected = torch.cat([layer(x) for layer in layers], dim=-1)
    assert torch.allclose(Int8Linear.join(*layers)(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("either_product")
def test_gelu_can_be_left_to_the_layer() -> None:
    layer = Int8Linear(random_linear(24, 16)).eval()
    x = torch.randn(BLOCK + 3, 24)
    assert torch.allclose(layer(x, gelu=True), nn.functional.gelu(layer(x)), atol=1e-5)


def test_each_weight_is_off_by_half_a_step_at_most() -> None:
    linear = random_linear(24, 16)
    layer = Int8Linear(linear)
    step = linear.weight.abs().amax(1, keepdim=True) / 127
    assert torch.all((layer.weight - linear.weight).abs() <= 0.501 * step)
    assert layer.q_weight.dtype == torch.int8
    assert int(layer.q_weight.abs().max()) == 127


def test_zeros_stay_zeros() -> None:
    linear = nn.Linear(4, 4, bias=False)
    nn.init.zeros_(linear.weight[1:].detach())
    linear.weight.data[1:] = 0
    layer = Int8Linear(linear).eval()
    assert torch.equal(layer(torch.zeros(2, 4)), torch.zeros(2, 4))
    assert torch.all(layer(torch.ones(2, 4))[:, 1:] == 0)


def test_a_row_does_not_depend_on_the_others() -> None:
    layer = Int8Linear(random_linear(24, 16)).eval()
    x = torch.randn(9, 24)
    x[0] *= 1000
    assert torch.equal(layer(x)[1:], layer(x[1:]))


def packed(lengths: list[int], width: int) -> PackedSequence:
    sizes = time_major_order(torch.tensor(lengths))[1]
    return PackedSequence(torch.randn(sum(lengths), width), sizes)


def dequantized(rnn: nn.RNNBase) -> nn.RNNBase:
    """Round a layer's weights, which are single-precision numbers again then."""
    for weights in rnn.all_weights:
        for weight in weights[:2]:
            q, scale = quantize_rows(weight)
            weight.data = q * scale[:, None]
    return rnn


@pytest.mark.usefixtures("either_product")
@pytest.mark.parametrize("cell", LAYERS)
@pytest.mark.parametrize("lengths", [[5, 3, 3, 1], [1], [2, 2], [BLOCK + 3, 5]])
def test_a_recurrent_layer_is_nearly_torchs(cell: str, lengths: list[int]) -> None:
    theirs, ours = LAYERS[cell]
    rnn = theirs(32, 48, bidirectional=True)
    layer = ours(rnn).eval()
    texts = packed(lengths, 32)
    with torch.no_grad():
        expected, last = dequantized(rnn)(texts)
    found, found_last = layer(texts)
    assert torch.equal(found.batch_sizes, expected.batch_sizes)
    assert (found.data - expected.data).abs().max() < 0.02
    assert (found.data - expected.data).abs().max() > 0  # states and inputs are rounded
    pairs = zip(last, found_last, strict=True) if cell == "lstm" else [(last, found_last)]
    for a, b in pairs:
        assert a.shape == b.shape
        assert (a - b).abs().max() < 0.04


@pytest.mark.parametrize("cell", LAYERS)
def test_a_text_does_not_depend_on_the_others(cell: str) -> None:
    module = StackedBiRNN(WIDE, WIDE, 2, cell).eval()
    to_int8(module, quantizable_layers(module))
    rows = torch.randn(9, WIDE)
    together = module(rows, torch.tensor([4, 5]))
    alone = module(rows[4:], torch.tensor([5]))
    assert torch.allclose(together[4:], alone, atol=1e-6)


def test_large_layers_are_found_and_replaced() -> None:
    module = nn.Sequential(
        nn.Linear(WIDE, WIDE), nn.Linear(2, 2), nn.Sequential(nn.Linear(WIDE, WIDE))
    )
    names = quantizable_layers(module)
    assert names == ["0", "2.0"]
    assert int8_layers(module) == []
    to_int8(module, names)
    assert int8_layers(module) == names
    assert quantizable_layers(module) == []


def test_recurrent_layers_are_named_once() -> None:
    module = StackedBiRNN(WIDE, WIDE, 2, "gru")
    names = quantizable_layers(module)
    assert names == ["layers.0", "layers.1"]
    to_int8(module, names)
    assert int8_layers(module) == names


def test_layers_that_are_read_by_others_or_unusual_stay() -> None:
    attention = nn.MultiheadAttention(WIDE, 2)
    stacked = nn.GRU(WIDE, WIDE, 2, bidirectional=True)
    one_way = nn.LSTM(WIDE, WIDE)
    module = nn.ModuleDict({"attention": attention, "stacked": stacked, "one_way": one_way})
    assert quantizable_layers(module) == []


@pytest.mark.parametrize("cell", LAYERS)
def test_weights_are_saved_and_loaded(cell: str) -> None:
    def build() -> StackedBiRNN:
        module = StackedBiRNN(WIDE, WIDE, 1, cell)
        to_int8(module, ["layers.0"])
        return module.eval()

    first, second = build(), build()
    rows, lengths = torch.randn(7, WIDE), torch.tensor([4, 3])
    before: Tensor = second(rows, lengths)
    second.load_state_dict(first.state_dict())
    assert not torch.equal(before, first(rows, lengths))
    assert torch.equal(second(rows, lengths), first(rows, lengths))
    assert not list(first.parameters())


def test_it_does_not_learn() -> None:
    with pytest.raises(ValueError, match="D452"):
        Int8Linear(nn.Linear(2, 2)).train()(torch.ones(1, 2))
    with pytest.raises(ValueError, match="D452"):
        Int8GRU(GRU(2, 2, bidirectional=True)).train()(packed([2], 2))


def test_it_runs_on_the_cpu() -> None:
    with pytest.raises(ValueError, match="D454"):
        Int8Linear(nn.Linear(2, 2)).eval()(torch.ones(1, 2, device="meta"))


@pytest.mark.parametrize("processor", ["AVX2", "DEFAULT"])
def test_products_are_exact_on_processors_of_any_kind(processor: str) -> None:
    """Without VNNI, oneDNN's own sums would be cut at 16 bits."""
    code = """if True:
        import torch
        from spacy_deeper.layers.pytorch.int8_product import product, whole_product
        q = torch.randint(-127, 128, (40, 384), dtype=torch.int8)
        q[::2] = 127
        assert torch.equal(product(q, q), whole_product(q, q).float())
    """
    env = {**os.environ, "ONEDNN_MAX_CPU_ISA": processor}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)


def test_products_are_exact_in_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    q, weight = torch.full((16, 64), 127, dtype=torch.int8), torch.ones((8, 64), dtype=torch.int8)
    for there in (int8_product.has_int_mm(), False):
        monkeypatch.setattr(int8_product, "has_int_mm", lambda there=there: there)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = int8_product.product(q, weight)
        assert found.dtype == torch.float32
        assert torch.equal(found, torch.full((16, 8), 127.0 * 64))
