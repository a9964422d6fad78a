"""Linear layers at inference by oneDNN, in single precision on the CPU.

By default torch takes MKL, which on processors of AMD leaves half of their speed unused. Results
differ by rounding only.
"""

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

# With fewer rows, reordering the weights costs what the product saves.
ROWS = 16


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return x Wᵀ + b: x (..., nI), weight (nO, nI), bias (nO,), to (..., nO)."""
    fits = (
        not torch.is_grad_enabled()
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.shape[:-1].numel() >= ROWS
    )
    if not (fits and has_onednn()):
        return functional.linear(x, weight, bias)
    return _onednn(x, weight, bias)


class Linear(nn.Linear):
    """`nn.Linear`, by oneDNN at inference."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def speed_up(module: nn.Module) -> None:
    """Let the linear layers of a module, which stay what they are otherwise, use oneDNN."""
    for part in module.modules():
        if type(part) is nn.Linear:
            part.__class__ = Linear


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


@cache
def has_onednn() -> bool:
    """Whether torch has what `linear` takes, which is private, and it does what it should."""
    x, weight, bias = torch.rand(ROWS, 8), torch.rand(4, 8), torch.rand(4)
    try:
        found = _onednn(x, weight, bias)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return False
    return torch.allclose(found, functional.linear(x, weight, bias), rtol=1e-4)
