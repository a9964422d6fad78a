"""How an encoder's layers become one vector for each token."""

from collections.abc import Callable
from typing import Literal, get_args

from thinc.api import Model
from thinc.types import Floats2d, Floats3d

from .scalar_mix import ScalarMix
from .torch_layer import check_choice

Combine = Literal["mix", "concatenate"]
COMBINE = get_args(Combine)


def combine_layers(how: Combine) -> Model[list[Floats3d], list[Floats2d]]:
    """Map (n, L, w) of each text to (n, w) by a learned mix, or to (n, L·w) side by side."""
    check_choice("combine", how, COMBINE)
    return ScalarMix() if how == "mix" else concatenate_layers()


def concatenate_layers() -> Model[list[Floats3d], list[Floats2d]]:
    """Put a token's layers side by side."""
    return Model("concatenate_layers", forward, init=init, dims={"nO": None})


def init(model: Model, X: list[Floats3d] | None = None, Y: list[Floats2d] | None = None) -> None:
    if X:
        model.set_dim("nO", X[0].shape[1] * X[0].shape[2])


def forward(
    model: Model, Xs: list[Floats3d], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Floats3d]]]:
    ops, shapes = model.ops, [X.shape for X in Xs]

    def backprop(dYs: list[Floats2d]) -> list[Floats3d]:
        return [ops.reshape3f(dY, *shape) for dY, shape in zip(dYs, shapes, strict=True)]

    return [ops.reshape2f(X, n, L * w) for X, (n, L, w) in zip(Xs, shapes, strict=True)], backprop
