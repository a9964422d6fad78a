from collections.abc import Callable
from functools import partial
from typing import Any

from spacy.util import registry
from thinc.api import Model
from thinc.types import Floats2d

from .torch_layer import (
    check_choice,
    check_positive,
    check_split,
    dropout_attrs,
    dropout_rate,
    forward_rows,
    shim_of,
    torch_layer,
)

ACTIVATIONS = ("relu", "tanh", "gelu", "sigmoid", "linear")


@registry.layers("spacy_deeper.TwoLayerScorer.v1")
def TwoLayerScorer(
    hidden_size: int = 64,
    activation: str = "relu",
    dropout: float | None = 0.0,
    members: int = 1,
    nI: int | None = None,
    nO: int | None = None,
) -> Model[list[Floats2d], list[Floats2d]]:
    """Score tokens with two feed-forward layers: equation 2 of Crone (2020).

    hidden_size (int): The output size of FFNN(e1).
    activation (str): The activation of FFNN(e1), one of `ACTIVATIONS`; FFNN(e2) is linear.
    dropout (Optional[float]): Dropout before each layer, which the paper has not; None obeys
        `[training] dropout`.
    members (int): How many such networks there are side by side, each with its own share of the
        input's columns and all of the scores: those of a committee.
    nI, nO (Optional[int]): Input width and number of scores; found later if None.
    """
    check_choice("activation", activation, ACTIVATIONS)
    check_positive(hidden_size=hidden_size, members=members)

    return torch_layer(
        "two_layer_scorer",
        partial(build, hidden_size=hidden_size, activation=activation, members=members),
        forward,
        init=init,
        dims={"nI": nI, "nO": nO},
        attrs={**dropout_attrs(dropout), "members": members},
    )


def build(members: int, **sizes: Any) -> Any:
    from .pytorch.ffnn import TwoLayerScorer
    from .pytorch.members import with_members

    return with_members(TwoLayerScorer, members, ("nI",), **sizes)


def init(model: Model, X: list[Floats2d] | None = None, Y: Any = None) -> None:
    if X and model.has_dim("nI") is None:
        model.set_dim("nI", X[0].shape[1])
    if model.has_dim("nI") and model.has_dim("nO"):
        check_split(model.name, model.get_dim("nI"), model.attrs["members"])
        shim_of(model).build(nI=model.get_dim("nI"), nO=model.get_dim("nO"))


def forward(
    model: Model, Xs: list[Floats2d], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Floats2d]]]:
    return forward_rows(model, Xs, is_train, dropout=dropout_rate(model))
