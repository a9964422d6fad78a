"""What the layers that score pairs of entities have in common."""

from collections.abc import Callable
from typing import Any

from thinc.api import Model
from thinc.types import Floats2d, Floats3d

from .torch_layer import call_module, dropout_attrs, dropout_rate, shim_of, split_rows, torch_layer

# The entities of all texts, (M, p), and how many each text has.
EntitiesT = tuple[Floats2d, list[int]]


def pair_layer(
    name: str, builder: Callable[..., Any], dropout: float | None, nI: int | None, nO: int | None
) -> Model[EntitiesT, list[Floats3d]]:
    """Return a layer that scores all ordered pairs of each text: (m, p) to (m, m, R)."""
    return torch_layer(
        name,
        builder,
        forward,
        init=init,
        dims={"nI": nI, "nO": nO},
        attrs=dropout_attrs(dropout),
    )


def init(model: Model, X: EntitiesT | None = None, Y: Any = None) -> None:
    if X is not None and model.has_dim("nI") is None:
        model.set_dim("nI", X[0].shape[1])
    if model.has_dim("nI") and model.has_dim("nO"):
        shim_of(model).build(nI=model.get_dim("nI"), nO=model.get_dim("nO"))


def forward(
    model: Model, inputs: EntitiesT, is_train: bool
) -> tuple[list[Floats3d], Callable[[list[Floats3d]], Floats2d]]:
    import torch

    entities, sizes = inputs
    xp = model.ops.xp
    n_labels = model.get_dim("nO")
    scores, bp_module = call_module(
        model,
        is_train,
        entities,
        torch.tensor(sizes, dtype=torch.int64),
        dropout=dropout_rate(model),
    )
    by_text = split_rows(model, scores, [size * size for size in sizes])

    def backprop(d_scores: list[Floats3d]) -> Floats2d:
        flat = xp.concatenate([d.reshape((-1, n_labels)) for d in d_scores])
        return bp_module(flat)[0]

    return [
        rows.reshape((size, size, n_labels)) for rows, size in zip(by_text, sizes, strict=True)
    ], backprop
