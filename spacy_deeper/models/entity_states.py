"""What stands for an entity's words in equation 3 of Crone (2020), and what else could.

Each function takes the states of the tokens, H (N, w), and each entity's first and last token,
(M,); it returns (M, p), and a callback from the gradient of that to the gradient of H.
"""

from collections.abc import Callable
from typing import Any, cast

from thinc.api import Ops, torch2xp
from thinc.types import Floats2d

from ..compat import xp2torch

EntityStates = tuple[Floats2d, Callable[[Floats2d], Floats2d]]


def final(ops: Ops, H: Any, first: Any, last: Any) -> EntityStates:
    """The last token, as in the paper: p = w."""

    def backprop(d_states: Floats2d) -> Floats2d:
        dH = ops.xp.zeros_like(H)
        # Two entities may end at one token: their gradients add up.
        ops.scatter_add(dH, last, d_states)
        return dH

    return H[last], backprop


def ends(ops: Ops, H: Any, first: Any, last: Any) -> EntityStates:
    """The last token beside the first, as in Lee et al. (2017): p = 2w."""

    def backprop(d_states: Floats2d) -> Floats2d:
        dH = ops.xp.zeros_like(H)
        ops.scatter_add(dH, last, d_states[:, : H.shape[1]])
        ops.scatter_add(dH, first, d_states[:, H.shape[1] :])
        return dH

    return ops.xp.hstack([H[last], H[first]]), backprop


def maximum(ops: Ops, H: Any, first: Any, last: Any) -> EntityStates:
    """The maximum over all tokens, as in SpERT (Eberts and Ulges 2020): p = w."""
    from torch.autograd import grad

    from ..layers.pytorch.range_max import RangeMax

    if not len(last):
        return H[last], lambda d_states: ops.xp.zeros_like(H)
    rows = xp2torch(H, requires_grad=True)
    states = RangeMax(rows)(xp2torch(first), xp2torch(last + 1))

    def backprop(d_states: Floats2d) -> Floats2d:
        (dH,) = grad(states, rows, xp2torch(ops.as_contig(d_states)))
        return cast(Floats2d, torch2xp(dH))

    return cast(Floats2d, torch2xp(states)), backprop


ENTITY_STATES = {"final": final, "ends": ends, "max": maximum}
