"""Linear layers and GRUs compute what torch's own do, by oneDNN or without it."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from spacy_deeper.layers.pytorch import fast_gru, linear
from spacy_deeper.layers.pytorch.packing import time_major_order

MODERN = tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 1)


@pytest.fixture
def calls(monkeypatch) -> list[tuple[int, ...]]:
    """The shapes of what went through oneDNN."""
    if not linear.has_onednn():
        pytest.skip("this torch has no oneDNN for it")
    seen: list[tuple[int, ...]] = []
    own = linear.onednn
    for module in (linear, fast_gru):
        monkeypatch.setattr(
            module, "onednn", lambda x, *args: seen.append(tuple(x.shape)) or own(x, *args)
        )
    return seen


@pytest.mark.skipif(not MODERN, reason="torch before 2.1 may have none")
def test_todays_torch_has_it():
    assert linear.has_onednn()


@pytest.mark.skipif(not MODERN, reason="torch before 2.1 has none")
@pytest.mark.parametrize("rows", [64, 16, 3, 1])
def test_reordered_weights(rows):
    layer, x = nn.Linear(48, 32), torch.randn(rows, 48)
    weight = linear.reorder(layer.weight, 64)
    assert linear._reorders() and weight.layout == torch._mkldnn  # noqa: PT018
    torch.testing.assert_close(
        linear.onednn(x, weight, layer.bias), layer(x).detach(), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("shape", [(16, 8), (3, 50, 8), (1, 17, 8)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_equals_torch(calls, shape, with_bias):
    layer = nn.Linear(8, 5, bias=with_bias)
    x = torch.randn(shape)
    with torch.no_grad():
        found = linear.linear(x, layer.weight, layer.bias)
        torch.testing.assert_close(found, layer(x), atol=1e-5, rtol=1e-5)
    assert calls == [shape]


def test_rows_that_are_not_contiguous(calls):
    layer, x = nn.Linear(8, 5), torch.randn(20, 16)[:, ::2]
    with torch.no_grad():
        found = linear.linear(x, layer.weight, layer.bias)
        torch.testing.assert_close(found, layer(x), atol=1e-5, rtol=1e-5)
    assert calls


@pytest.mark.parametrize("shape", [(16, 8), (3, 50, 8)])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("frozen", [False, True])
def test_gradients_equal_those_of_torch(calls, shape, with_bias, frozen):
    layer = nn.Linear(8, 5, bias=with_bias).requires_grad_(not frozen)
    gradients = []
    d_output = torch.randn(*shape[:-1], 5)
    x = torch.randn(shape, requires_grad=True)
    wanted = [x, *(parameter for parameter in layer.parameters() if not frozen)]
    for run in (layer, lambda x: linear.linear(x, layer.weight, layer.bias)):
        gradients.append(torch.autograd.grad(run(x), wanted, d_output))
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-5)
    assert len(calls) == (2 if frozen else 3)


def test_an_input_without_gradient(calls):
    layer, x = nn.Linear(8, 5), torch.randn(20, 8)
    linear.linear(x, layer.weight, layer.bias).sum().backward()
    torch.testing.assert_close(layer.weight.grad, x.sum(0).expand(5, 8), atol=1e-4, rtol=1e-5)
    assert len(calls) == 2


def test_torch_does_what_is_small_or_not_in_single_precision(calls):
    layer, x = nn.Linear(8, 5), torch.randn(20, 8)
    linear.linear(x[:2], layer.weight, layer.bias)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert linear.linear(x, layer.weight, layer.bias).dtype == torch.bfloat16
    layer.double()
    found = linear.linear(x.double(), layer.weight, layer.bias)
    torch.testing.assert_close(found, layer(x.double()))
    assert calls == []


def test_a_wrong_width_has_the_error_of_torch(calls):
    layer = nn.Linear(8, 5)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        linear.linear(torch.randn(20, 7), layer.weight, layer.bias)
    assert calls == []


def test_asking_for_onednn_draws_no_random_number():
    linear.has_onednn.cache_clear()
    torch.manual_seed(0)
    linear.has_onednn()
    found = torch.rand(1)
    torch.manual_seed(0)
    assert found == torch.rand(1)


def test_without_onednn(monkeypatch):
    def missing(*args):
        raise AttributeError("no such operator")

    layer, x = nn.Linear(8, 5), torch.randn(20, 8)
    monkeypatch.setattr(linear, "onednn", missing)
    linear.has_onednn.cache_clear()
    try:
        with torch.no_grad():
            torch.testing.assert_close(linear.linear(x, layer.weight, layer.bias), layer(x))
        assert not linear.has_onednn()
    finally:
        linear.has_onednn.cache_clear()


def test_speeds_a_module_up_that_stays_what_it_is(calls):
    module = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 2)))
    x = torch.randn(20, 8)
    names = list(module.state_dict())
    with torch.no_grad():
        expected = module(x)
        linear.speed_up(module)
        torch.testing.assert_close(module(x), expected, atol=1e-5, rtol=1e-5)
    assert len(calls) == 2
    assert list(module.state_dict()) == names
    assert isinstance(module[0], nn.Linear)


@pytest.mark.parametrize("lengths", [[3] * 16, [1, 9, 2, 7] * 8, [5, 0] * 20])
@pytest.mark.parametrize("reorders", [True, False])
def test_gru_equals_torch(calls, lengths, monkeypatch, reorders):
    monkeypatch.setattr(linear, "_reorders", lambda: reorders)
    torch.manual_seed(0)
    fast = fast_gru.GRU(5, fast_gru.UNITS, bidirectional=True)
    own = nn.GRU(5, fast_gru.UNITS, bidirectional=True)
    own.load_state_dict(fast.state_dict())
    batch_sizes = time_major_order(torch.tensor(lengths))[1]
    packed = PackedSequence(torch.randn(sum(lengths), 5), batch_sizes)
    with torch.no_grad():
        (found, state), (expected, expected_state) = fast(packed), own(packed)
    torch.testing.assert_close(found.data, expected.data, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(state, expected_state, atol=1e-5, rtol=1e-5)
    texts = sum(length > 0 for length in lengths)
    assert calls.count((texts, fast_gru.UNITS)) >= 2  # at the first step of both directions
    assert len(calls) == 2 * (1 + max(lengths))


def test_other_precisions_are_left_to_torch(calls):
    layer = fast_gru.GRU(5, fast_gru.UNITS, bidirectional=True).double()
    with torch.no_grad():
        layer(PackedSequence(torch.randn(48, 5, dtype=torch.float64), torch.tensor([16] * 3)))
    assert calls == []


@pytest.mark.parametrize(("texts", "units"), [(3, fast_gru.UNITS), (16, fast_gru.UNITS - 1)])
def test_small_products_are_left_to_torch(calls, texts, units):
    layer = fast_gru.GRU(5, units, bidirectional=True)
    with torch.no_grad():
        layer(PackedSequence(torch.randn(10 * texts, 5), torch.tensor([texts] * 10)))
    assert calls == []
