from typing import Any

from spacy.util import registry
from thinc.api import Model
from thinc.types import Floats2d, Floats3d

from .torch_layer import forward_rows, shim_of, torch_layer


@registry.layers("spacy_deeper.ScalarMix.v1")
def ScalarMix(layers: int | None = None) -> Model[list[Floats3d], list[Floats2d]]:
    """Average an encoder's layers with learned weights (Crone 2020, section 3.1).

    Maps (n, L, w) of each text to (n, w).

    layers (Optional[int]): The number of layers L; found from the data if None.
    """

    return torch_layer(
        "scalar_mix", build, forward_rows, init=init, dims={"nL": layers, "nO": None}
    )


def build(**sizes: Any) -> Any:
    from .pytorch.scalar_mix import ScalarMix

    return ScalarMix(**sizes)


def init(model: Model, X: list[Floats3d] | None = None, Y: Any = None) -> None:
    if X:
        model.set_dim("nL", X[0].shape[1])
        model.set_dim("nO", X[0].shape[2])
    if model.has_dim("nL"):
        shim_of(model).build(layers=model.get_dim("nL"))
