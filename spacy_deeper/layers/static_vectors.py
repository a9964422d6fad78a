from collections.abc import Callable
from functools import partial
from typing import Any, Literal, cast

import numpy
from spacy.attrs import LOWER
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model, glorot_uniform_init
from thinc.types import Floats1d, Floats2d

from ..errors import Errors
from .torch_layer import check_choice, check_positive, split_rows


@registry.layers("spacy_deeper.StaticVectors.v1")
def StaticVectors(
    width: int | None = None,
    unknown: Literal["zeros", "learned"] = "zeros",
    case_fallback: bool = False,
) -> Model[list[Doc], list[Floats2d]]:
    """Embed each token with its word vector: t_glove of equation 1 (Crone 2020).

    The vectors are those of the pipeline's vocabulary (`[initialize] vectors`) and stay frozen.
    The defaults are the paper's: a vector as it is, and zeros for a token that has none. Vectors
    made of subwords (floret) know every token.

    width (Optional[int]): Project the vectors linearly, without a bias, to this width; None leaves
        them as they are.
    unknown (str): A token without a vector gets "zeros", or one "learned" vector for all of them.
    case_fallback (bool): A token without a vector gets that of its lower-case form, if there is
        one.
    """
    check_choice("unknown", unknown, ("zeros", "learned"))
    if width is not None:
        check_positive(width=width)
    params: dict[str, Any] = {"W": None} if width is not None else {}
    if unknown == "learned":
        params["unknown"] = None
    return Model(
        "static_vectors",
        partial(forward, case_fallback),
        init=init,
        dims={"nM": None, "nO": width},
        params=params,
    )


def init(model: Model, X: list[Doc] | None = None, Y: Any = None) -> None:
    if X:
        n_vector = X[0].vocab.vectors_length
        if not n_vector:
            raise ValueError(Errors.D206)
        model.set_dim("nM", n_vector)
        if "W" not in model.param_names:
            model.set_dim("nO", n_vector)
    if model.has_dim("nM"):
        nO = model.get_dim("nO")
        if "W" in model.param_names:
            model.set_param("W", glorot_uniform_init(model.ops, (nO, model.get_dim("nM"))))
        if "unknown" in model.param_names:
            model.set_param("unknown", model.ops.alloc1f(nO))


def forward(
    case_fallback: bool, model: Model, docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    lengths = [len(doc) for doc in docs]
    vectors, unknown = look_up(model, docs, case_fallback)
    Y = vectors
    if model.has_param("W"):
        Y = model.ops.gemm(vectors, cast(Floats2d, model.get_param("W")), trans2=True)
    if model.has_param("unknown"):
        Y[unknown] = cast(Floats1d, model.get_param("unknown"))

    def backprop(dYs: list[Floats2d]) -> list[Doc]:
        dY = cast(Floats2d, model.ops.xp.concatenate(dYs))
        if model.has_param("W"):  # an unknown token's vector is zeros: it adds nothing
            model.inc_grad("W", model.ops.gemm(dY, vectors, trans1=True))
        if model.has_param("unknown"):
            model.inc_grad("unknown", cast(Floats1d, dY[unknown].sum(axis=0)))
        return []

    return split_rows(model, Y, lengths), backprop


def look_up(model: Model, docs: list[Doc], case_fallback: bool) -> tuple[Floats2d, Any]:
    """Return the vectors (n, nM) of all n tokens, and which of them (n,) are unknown: zeros."""
    vectors, width = docs[0].vocab.vectors, docs[0].vocab.vectors_length
    if model.has_dim("nM") and width != model.get_dim("nM"):
        raise ValueError(Errors.D260.format(width=model.get_dim("nM"), found=width))
    xp = model.ops.xp
    keys = numpy.concatenate([doc.to_array(vectors.attr) for doc in docs])
    if not len(keys):
        return model.ops.alloc2f(0, width), xp.zeros(0, dtype=bool)
    if vectors.mode != "default":
        return model.ops.asarray2f(vectors.get_batch(keys)), xp.zeros(len(keys), dtype=bool)
    rows = xp.asarray(vectors.find(keys=keys))
    if case_fallback:
        lower = numpy.concatenate([doc.to_array(LOWER) for doc in docs])
        rows = xp.where(rows < 0, xp.asarray(vectors.find(keys=lower)), rows)
    # Its own data, not a view: the row that -1 reads is the last of the table.
    found = model.ops.asarray2f(vectors.data[rows])
    found[rows < 0] = 0
    return found, rows < 0
