from collections.abc import Callable
from typing import Any

from spacy.util import registry
from thinc.api import Model
from thinc.types import Floats2d, Ints1d

from .torch_layer import call_module, check_positive, shim_of, torch_layer


@registry.layers("spacy_deeper.LabelEmbedding.v1")
def LabelEmbedding(width: int = 25, nV: int | None = None) -> Model[Ints1d, Floats2d]:
    """Embed BIO tags: l_i of equation 3 (Crone 2020).

    width (int): The width of an embedding.
    nV (Optional[int]): The number of tags; known once the entity labels are.
    """

    check_positive(width=width)
    return torch_layer("label_embedding", build, forward, init=init, dims={"nO": width, "nV": nV})


def build(**sizes: Any) -> Any:
    from torch.nn import Embedding

    return Embedding(**sizes)


def init(model: Model, X: Any = None, Y: Any = None) -> None:
    if model.has_dim("nV"):
        shim_of(model).build(num_embeddings=model.get_dim("nV"), embedding_dim=model.get_dim("nO"))


def forward(
    model: Model, tags: Ints1d, is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], Ints1d]]:
    Y, bp_module = call_module(model, is_train, tags)

    def backprop(dY: Floats2d) -> Ints1d:
        bp_module(dY)
        return tags

    return Y, backprop
