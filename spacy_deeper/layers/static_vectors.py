from collections.abc import Callable
from typing import Any

import numpy
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model
from thinc.types import Floats2d

from ..compat import vectors_attr
from ..errors import Errors
from .torch_layer import split_rows


@registry.layers("spacy_deeper.StaticVectors.v1")
def StaticVectors() -> Model[list[Doc], list[Floats2d]]:
    """Embed each token with its word vector, as it is: t_glove of equation 1 (Crone 2020).

    The vectors are those of the pipeline's vocabulary (`[initialize] vectors`) and stay frozen;
    a token without one gets zeros.
    """
    return Model("static_vectors", forward, init=init, dims={"nO": None})


def init(model: Model, X: list[Doc] | None = None, Y: Any = None) -> None:
    if X:
        width = X[0].vocab.vectors_length
        if not width:
            raise ValueError(Errors.D206)
        model.set_dim("nO", width)


def forward(
    model: Model, docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    vectors = docs[0].vocab.vectors
    keys = numpy.concatenate([doc.to_array(vectors_attr(vectors)) for doc in docs])
    if len(keys):
        rows = model.ops.asarray2f(vectors.get_batch(keys))
        if vectors.mode == "default":  # which gives an unknown word the last row of the table
            rows[model.ops.xp.asarray(vectors.find(keys=keys)) < 0] = 0
    else:
        rows = model.ops.alloc2f(0, model.get_dim("nO"))
    return split_rows(model, rows, [len(doc) for doc in docs]), lambda dYs: []
