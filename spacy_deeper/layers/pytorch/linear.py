"""Linear layers by oneDNN, in single precision on the CPU.

By default torch takes MKL, which on processors of AMD leaves half of their speed unused. Results
differ by rounding only.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ...devices import autocasts, exact

# With fewer rows, reordering the weights costs what the product saves.
ROWS = 16


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return x Wᵀ + b: x (..., nI), weight (nO, nI), bias (nO,), to (..., nO)."""
    fits = (
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.shape[-1] == weight.shape[1] > 0  # else torch has the better message
        and not autocasts()
        and x.shape[:-1].numel() >= ROWS
    )
    if not (fits and has_onednn()):
        return functional.linear(x, weight, bias)
    if torch.is_grad_enabled():
        output: Tensor = LinearFunction.apply(x, weight, bias)
        return output
    return onednn(x, weight, bias)


class LinearFunction(torch.autograd.Function):
    """The product and its gradients: dx = dy W, dW = dyᵀ x, db = Σ dy."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return onednn(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_output: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        dy = d_output.flatten(0, -2)
        return (
            onednn(dy, weight.T, None).view_as(x) if for_x else None,
            onednn(dy.T, x.flatten(0, -2).T, None) if for_weight else None,
            dy.sum(0) if for_bias else None,
        )


class Linear(nn.Linear):
    """`nn.Linear`, by oneDNN."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def speed_up(module: nn.Module) -> None:
    """Let the linear layers of a module use oneDNN.

    They stay what they are otherwise, but can't be traced or differentiated twice.
    """
    for part in module.modules():
        if type(part) is nn.Linear:
            part.__class__ = Linear


def reorder(weight: Tensor, rows: int) -> Tensor:
    """Return a weight as oneDNN reads it, for several products with so many rows or fewer.

    Inference only: it has no gradient. As it is where torch can't reorder.
    """
    return _reorder(weight, rows) if _reorders() else weight


def _reorder(weight: Tensor, rows: int) -> Tensor:
    reordered: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), rows)
    return reordered


def onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return `linear`, by oneDNN in any case; the weight may be reordered."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


@cache
def has_onednn() -> bool:
    """Whether torch has what `linear` takes, which is private, and it does what it should."""
    if not torch.backends.mkldnn.is_available():
        return False
    # Not random: a seeded training must not depend on who asks first.
    numbers = torch.arange(ROWS * 8, dtype=torch.float32, device="cpu") / 100
    x, weight, bias = numbers.view(ROWS, 8), numbers[:32].view(4, 8), numbers[:4]
    found = attempt(lambda: onednn(x, weight, bias))
    with exact():
        expected = functional.linear(x, weight, bias)
    return found is not None and torch.allclose(found, expected, rtol=1e-4)


@cache
def _reorders() -> bool:
    """Whether torch can reorder weights, which is private and newer, for fewer rows too."""
    numbers = torch.arange(48 * 32, dtype=torch.float32, device="cpu") / 1000
    weight, bias = numbers.view(48, 32), numbers[:48]
    x = weight[:ROWS]

    def products() -> Tensor:
        reordered = _reorder(weight, ROWS)
        return torch.cat([onednn(x[:n], reordered, bias) for n in (ROWS, 3)])

    found = attempt(products)
    with exact():
        expected = functional.linear(torch.cat([x, x[:3]]), weight, bias)
    return found is not None and torch.allclose(found, expected, rtol=1e-4)


def attempt(run: Callable[[], Tensor | None]) -> Tensor | None:
    """Return what a private operation does, or None where torch or the processor lacks it."""
    try:
        return run()
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return None
