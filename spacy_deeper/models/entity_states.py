"""What stands for an entity's words in equation 3 of Crone (2020), and what else could.

Each function takes the states of the tokens, H (N, w), and each entity's first and last token,
(M,); it returns (M, p), and a callback from the gradient of that to the gradient of H.
"""

from collections.abc import Callable
from typing import Any

from thinc.api import Ops
from thinc.types import Floats2d

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
    xp = ops.xp
    if not len(last):
        return H[last], lambda d_states: xp.zeros_like(H)
    longest = int((last - first).max()) + 1
    # (M, longest): a shorter entity has its last token several times.
    tokens = xp.minimum(first[:, None] + xp.arange(longest), last[:, None])
    states = H[tokens]
    winner = xp.expand_dims(states.argmax(axis=1), 1)  # the first one, if there are several

    def backprop(d_states: Floats2d) -> Floats2d:
        d_tokens = xp.where(
            xp.arange(longest)[None, :, None] == winner, xp.expand_dims(d_states, 1), 0
        ).astype(H.dtype)
        dH = xp.zeros_like(H)
        ops.scatter_add(dH, tokens.ravel(), d_tokens.reshape((-1, H.shape[1])))
        return dH

    return xp.take_along_axis(states, winner, axis=1)[:, 0], backprop


ENTITY_STATES = {"final": final, "ends": ends, "max": maximum}
