from collections.abc import Callable

from thinc.api import Model
from thinc.types import Floats2d

from ..errors import Errors


def TokenDropout(rate: float) -> Model[list[Floats2d], list[Floats2d]]:
    """In training, hide whole tokens: their vectors become zeros, those of the others grow.

    What a hidden token is must be read from its neighbours (Akbik et al. 2018, word dropout).

    rate (float): The share of the tokens that is hidden.
    """
    if not 0.0 <= rate < 1.0:
        raise ValueError(Errors.D201.format(rate=rate))
    # Not `dropout_rate`, which `[training] dropout` would be written into.
    return Model("token_dropout", forward, attrs={"token_dropout": rate})


def forward(
    model: Model, Xs: list[Floats2d], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Floats2d]]]:
    rate = model.attrs["token_dropout"]
    if not is_train or not rate:
        return Xs, lambda dYs: dYs
    masks = [model.ops.get_dropout_mask((len(X), 1), rate) for X in Xs]

    def backprop(dYs: list[Floats2d]) -> list[Floats2d]:
        return [dY * mask for dY, mask in zip(dYs, masks, strict=True)]

    return [X * mask for X, mask in zip(Xs, masks, strict=True)], backprop
