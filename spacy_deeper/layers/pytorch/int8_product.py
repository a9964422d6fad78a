"""Products of matrices of whole numbers, by oneDNN.

Where the processor has instructions for them (VNNI), the weights are reordered once to how these
read them, and scales cost nothing. The inputs have no sign then: 128 is added to each, and oneDNN
takes it off again.
"""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from ...devices import exact
from .linear import attempt

# With fewer outputs, what comes before the product costs what reordered weights save.
MIN_OUTPUTS = 384
# oneDNN makes its code anew for each number of rows. So that these are few, there are zeros below.
ROWS = 32
OFFSET = 128


def product(q: Tensor, weight: Tensor) -> Tensor:
    """Return q Qᵀ in single precision: q int8 (N, nI), weight Q int8 (nO, nI), to (N, nO)."""
    if has_int_mm():
        return torch._int_mm(q, weight.t()).float()
    with exact():
        return q.float() @ weight.t().float()


def products(q: Tensor, weight: Tensor) -> Tensor:
    """Return `product` for each pair of two stacks, maybe as int32.

    q: int8 (D, N, nI). weight: int8 (D, nO, nI). RETURNS: (D, N, nO).
    """
    if not has_int_mm():
        return torch.stack([product(*pair) for pair in zip(q, weight, strict=True)])
    y = torch.empty((len(q), q.shape[1], weight.shape[1]), dtype=torch.int32)
    for i in range(len(q)):
        torch._int_mm(q[i], weight[i].t(), out=y[i])
    return y


def reorder(weight: Tensor) -> Tensor | None:
    """Return a weight Q for `reordered_product`, or None where `product` is better."""
    if len(weight) < MIN_OUTPUTS or not has_vnni():
        return None
    return _reorder(weight)


def reordered_product(q: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """Return s (q Qᵀ): q int8 (N, nI), which may be overwritten, scale s (nO,), to (N, nO)."""
    N = len(q)
    if N % ROWS:
        q = functional.pad(q, (0, 0, 0, -N % ROWS))
    unsigned = q.view(torch.uint8).add_(OFFSET)  # wraps around, as it should
    zeros = torch.zeros(len(scale), dtype=torch.int32)
    y: Tensor = torch.ops.onednn.qlinear_pointwise(
        unsigned, 1.0, OFFSET, weight, scale, zeros, None, 1.0, 0, torch.float32, "none", [], ""
    )
    return y[:N]


def _reorder(weight: Tensor) -> Tensor:
    reordered: Tensor = torch.ops.onednn.qlinear_prepack(weight, None)
    return reordered


@cache
def has_int_mm() -> bool:
    """Whether torch multiplies int8 matrices by oneDNN, and it is exact.

    Without VNNI, oneDNN's sums of two products are cut at 16 bits.
    """
    if not (torch.backends.mkldnn.is_available() and hasattr(torch, "_int_mm")):
        return False
    out = torch.empty((ROWS, ROWS), dtype=torch.int32)
    found = attempt(lambda: torch._int_mm(LARGEST, LARGEST.t(), out=out))  # once on GPUs alone
    return found is not None and torch.equal(found, whole_product(LARGEST, LARGEST))


@cache
def has_vnni() -> bool:
    """Whether torch and the processor have what `reordered_product` takes, and it is exact."""

    def product_of_largest() -> Tensor | None:
        if not (torch.backends.mkldnn.is_available() and torch.cpu._is_vnni_supported()):
            return None
        return reordered_product(LARGEST.clone(), _reorder(LARGEST), torch.ones(ROWS))

    found = attempt(product_of_largest)
    return found is not None and torch.equal(found, whole_product(LARGEST, LARGEST).float())


def whole_product(q: Tensor, weight: Tensor) -> Tensor:
    """Return q Qᵀ as whole numbers, slowly."""
    return q.int() @ weight.int().t()


def largest() -> Tensor:
    """Return rows with the largest sums, which what is less than exact gets wrong."""
    rows = torch.full((ROWS, 64), 127, dtype=torch.int8)
    rows[1::2] = -127
    return rows


LARGEST = largest()
