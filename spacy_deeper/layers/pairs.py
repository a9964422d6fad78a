"""What the layers that score pairs of entities have in common."""

from collections.abc import Callable
from functools import partial
from typing import Any

from thinc.api import Model
from thinc.types import Floats2d, Floats3d, Ints2d

from .torch_layer import (
    call_module,
    check_positive,
    check_split,
    dropout_attrs,
    dropout_rate,
    shim_of,
    split_rows,
    torch_layer,
)

# The entities of all texts, (M, p), and how many each text has. A layer that reads more of a pair
# (see `pair_layer`) also gets each entity's first and last token and its type's number, (M, 3),
# and the states of the tokens of all texts, (N, w).
EntitiesT = tuple[Floats2d, list[int]] | tuple[Floats2d, list[int], Ints2d, Floats2d]


# The sizes that are those of all members together.
DIVIDED = frozenset(("nI", "nH"))


def pair_layer(
    name: str,
    builder: Callable[..., Any],
    dropout: float | None,
    nI: int | None,
    nO: int | None,
    pair_features: bool = False,
    members: int = 1,
    **dims: int | None,
) -> Model[EntitiesT, list[Floats3d]]:
    """Return a layer that scores all ordered pairs of each text: (m, p) to (m, m, R), or with
    the members of a committee side by side to (m, m, members · R).

    pair_features (bool): Whether it reads more than entities. Its callback then returns the
        gradient of the tokens beside that of the entities; it is None if none are read.
    members (int): How many there are, each with a share of the columns of the entities and tokens.
    dims: Other sizes that the module is built of.
    """
    check_positive(members=members)
    attrs: dict[str, Any] = {**dropout_attrs(dropout), "members": members}
    if pair_features:
        attrs["pair_features"] = True
    return torch_layer(
        name,
        partial(build, builder, members),
        forward,
        init=init,
        dims={"nI": nI, "nO": nO, **dims},
        attrs=attrs,
    )


def build(builder: Callable[..., Any], members: int, **sizes: Any) -> Any:
    from .pytorch.members import with_members

    return with_members(builder, members, DIVIDED, **sizes)


def init(model: Model, X: EntitiesT | None = None, Y: Any = None) -> None:
    if X is not None and model.has_dim("nI") is None:
        model.set_dim("nI", X[0].shape[1])
    if all(model.has_dim(name) for name in model.dim_names):
        for name in DIVIDED.intersection(model.dim_names):
            check_split(model.name, model.get_dim(name), model.attrs["members"])
        shim_of(model).build(**{name: model.get_dim(name) for name in model.dim_names})


def forward(
    model: Model, inputs: EntitiesT, is_train: bool
) -> tuple[list[Floats3d], Callable[[list[Floats3d]], Any]]:
    import torch

    entities, sizes, *features = inputs
    xp = model.ops.xp
    scores, bp_module = call_module(
        model,
        is_train,
        entities,
        torch.tensor(sizes, dtype=torch.int64),
        *features,
        dropout=dropout_rate(model),
    )
    n_scores = scores.shape[1]
    by_text = split_rows(model, scores, [size * size for size in sizes])

    def backprop(d_scores: list[Floats3d]) -> Any:
        flat = xp.concatenate([d.reshape((-1, n_scores)) for d in d_scores])
        d_entities, _, *d_features = bp_module(flat)
        return (d_entities, d_features[1]) if features else d_entities

    return [
        rows.reshape((size, size, n_scores)) for rows, size in zip(by_text, sizes, strict=True)
    ], backprop
