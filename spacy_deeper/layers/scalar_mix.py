from collections.abc import Callable
from typing import Any

from spacy.util import registry
from thinc.api import Model
from thinc.types import Floats2d, Floats3d

from .torch_layer import call_module, shim_of, split_rows, torch_layer


@registry.layers("spacy_deeper.ScalarMix.v1")
def ScalarMix(layers: int | None = None) -> Model[list[Floats3d], list[Floats2d]]:
    """Average an encoder's layers with learned weights (Crone 2020, section 3.1).

    Maps (n, L, w) of each text to (n, w).

    layers (Optional[int]): The number of layers L; found from the data if None.
    """

    return torch_layer("scalar_mix", build, forward, init=init, dims={"nL": layers, "nO": None})


def build(**sizes: Any) -> Any:
    from .pytorch.scalar_mix import ScalarMix

    return ScalarMix(**sizes)


def init(model: Model, X: list[Floats3d] | None = None, Y: Any = None) -> None:
    if X:
        model.set_dim("nL", X[0].shape[1])
        model.set_dim("nO", X[0].shape[2])
    if model.has_dim("nL"):
        shim_of(model).build(layers=model.get_dim("nL"))


def forward(
    model: Model, Xs: list[Floats3d], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Floats3d]]]:
    sizes = [len(X) for X in Xs]
    Y, bp_module = call_module(model, is_train, model.ops.xp.concatenate(Xs))

    def backprop(dYs: list[Floats2d]) -> list[Floats3d]:
        dX = bp_module(model.ops.xp.concatenate(dYs))[0]
        return split_rows(model, dX, sizes)

    return split_rows(model, Y, sizes), backprop
