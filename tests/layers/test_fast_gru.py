"""The fast GRU is torch's own, in what it computes and in all of its gradients."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from spacy_deeper.layers.pytorch import linear
from spacy_deeper.layers.pytorch.birnn import StackedBiRNN
from spacy_deeper.layers.pytorch.fast_gru import GRU, UNITS, FastGRU
from spacy_deeper.layers.pytorch.packing import time_major_order

LENGTHS = [[1], [4], [1, 1, 1], [3, 7, 1, 7, 2], [5, 0, 2]]


def both(lengths, dtype, nI=5, H=6):
    """Run the layer and torch's own; return the output, the last states, and all gradients."""
    torch.manual_seed(0)
    fast = GRU(nI, H, bidirectional=True).to(dtype)
    own = nn.GRU(nI, H, bidirectional=True).to(dtype)
    own.load_state_dict(fast.state_dict())
    data = torch.randn(sum(lengths), nI, dtype=dtype)
    weights = torch.randn(sum(lengths), 2 * H, dtype=dtype)
    batch_sizes = time_major_order(torch.tensor(lengths))[1]
    state_weights = torch.randn(2, int(batch_sizes[0]), H, dtype=dtype)
    for layer in (fast, own):
        x = data.clone().requires_grad_()
        packed, state = layer(PackedSequence(x, batch_sizes))
        loss = (packed.data * weights).sum() + (state * state_weights).sum()
        gradients = torch.autograd.grad(loss, [x, *layer.parameters()])
        yield packed.data.detach(), state.detach(), gradients


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_equals_torch(lengths, dtype, tolerance):
    (*fast, gradients), (*expected, expected_gradients) = both(lengths, dtype)
    assert len(gradients) == len(expected_gradients) == 9
    if max(lengths) > 1:  # or else nothing depends on a state before
        assert all(gradient.abs().max() > 1e-3 for gradient in expected_gradients)
    torch.testing.assert_close(
        [*fast, *gradients], [*expected, *expected_gradients], atol=tolerance, rtol=tolerance
    )


def test_finite_differences():
    layer = GRU(3, 2, bidirectional=True).double()
    data = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    batch_sizes = torch.tensor([3, 2, 1])
    assert torch.autograd.gradcheck(
        lambda x, *ws: FastGRU.apply(x, batch_sizes, *ws), (data, *layer.parameters())
    )


def test_without_a_gradient_of_the_input():
    """The first layer's input is data."""
    layer = GRU(3, 2, bidirectional=True)
    layer(PackedSequence(torch.randn(3, 3), torch.tensor([2, 1])))[0].data.sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters())


@pytest.mark.parametrize("options", [{"num_layers": 2}, {"bias": False}, {"bidirectional": False}])
def test_other_layers_are_torchs(options):
    options = {"bidirectional": True, **options}
    fast, own = GRU(3, 2, **options), nn.GRU(3, 2, **options)
    own.load_state_dict(fast.state_dict())
    packed = PackedSequence(torch.randn(3, 3), torch.tensor([2, 1]))
    torch.testing.assert_close(fast(packed)[0].data, own(packed)[0].data)


def test_unsorted_texts_are_torchs():
    fast, own = GRU(3, 2, bidirectional=True), nn.GRU(3, 2, bidirectional=True)
    own.load_state_dict(fast.state_dict())
    packed = pack_sequence([torch.randn(1, 3), torch.randn(4, 3)], enforce_sorted=False)
    for ours, theirs in zip(fast(packed), own(packed), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_training_and_inference_agree():
    stack = StackedBiRNN(4, 6, 3, "gru")
    rows, lengths = torch.randn(9, 4), torch.tensor([2, 0, 6, 1])
    trained = stack(rows, lengths)
    assert "FastGRU" in str(_graph(trained))
    with torch.no_grad():
        torch.testing.assert_close(trained.detach(), stack(rows, lengths), atol=1e-6, rtol=0)


def _graph(tensor):
    seen, todo = [], [tensor.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None:
            seen.append(node.name())
            todo.extend(parent for parent, _ in node.next_functions)
    return seen


@pytest.mark.parametrize("learns", [False, True])
def test_in_autocast_it_is_torchs(learns: bool) -> None:
    """Also if nobody has asked before what torch can do."""
    linear.has_onednn.cache_clear()
    linear._reorders.cache_clear()
    torch.manual_seed(0)
    layer = GRU(32, UNITS, bidirectional=True)
    packed = pack_sequence([torch.randn(3, 32) for _ in range(2 * linear.ROWS)])
    theirs = nn.GRU(32, UNITS, bidirectional=True)
    theirs.load_state_dict(layer.state_dict())
    with torch.set_grad_enabled(learns), torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(layer(packed)[0].data, theirs(packed)[0].data)
        known = linear.has_onednn(), linear._reorders()
    linear.has_onednn.cache_clear()
    linear._reorders.cache_clear()
    assert known == (linear.has_onednn(), linear._reorders())
