"""Adversarial training: on texts that a slight change makes as hard as it can.

Of all changes of a text's vectors X that are as long, the one that raises the loss L most is

    η = ε |X| ∇L / |∇L|

with the gradient at X and the norms over the whole text. Who learns from X + η, too, relies less on
any single feature (Miyato et al. 2017; for entities and relations, Bekoulis et al. 2018).
Theirs have a length of ε; as a share of |X| one value fits any encoder.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from spacy.attrs import ORTH
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from ..errors import Errors, Warnings

EmbedT = Model[list[Doc], list[Floats2d]]
BatchT = tuple[int, tuple[bytes, ...]]
ChangesT = dict[BatchT, list[Floats2d]]

# Batches whose second time is awaited: one, or what [training] accumulate_gradient makes of one.
AWAITED = 16


def Adversarial(embed: EmbedT, size: float) -> EmbedT:
    """Change what an embedding makes of a text that training gives to it a second time.

    The first time tells the gradient. The second, at once after it, is the work of a batcher,
    `spacy_deeper.batch_twice.v1`: so losses are computed where they always are, in the components.

    embed (Model[list[Doc], list[Floats2d]]): From docs to arrays (tokens, width).
    size (float): ε, the length of the change as a share of that of the text's vectors.
    """
    if not 0.0 <= size < 1.0:
        raise ValueError(Errors.D232.format(size=size))
    changes: ChangesT = {}
    return Model(
        "adversarial",
        partial(forward, changes),
        init=init,
        layers=[embed],
        dims={"nO": None},
        attrs={"adversarial": size},
    )


def init(model: Model, X: list[Doc] | None = None, Y: Any = None) -> None:
    embed = model.layers[0]
    embed.initialize(X=X, Y=Y)
    if embed.has_dim("nO"):
        model.set_dim("nO", embed.get_dim("nO"))


def forward(
    changes: ChangesT, model: EmbedT, docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], Any]]:
    Xs, backprop_embed = model.layers[0](docs, is_train)
    if not is_train:
        return Xs, backprop_embed
    # Training copies its docs, so that they are known by their words only. Copies of a model share
    # what its function remembers.
    batch = model.id, tuple(doc.to_array(ORTH).tobytes() for doc in docs)
    if batch in changes:
        pairs = zip(Xs, changes.pop(batch), strict=True)
        return [X + change for X, change in pairs], backprop_embed

    def backprop(dXs: list[Floats2d]) -> Any:
        size = model.attrs["adversarial"]
        changes[batch] = [steepest(model, X, dX, size) for X, dX in zip(Xs, dXs, strict=True)]
        if len(changes) > AWAITED:
            warnings.warn(Warnings.DW203, stacklevel=2)
            changes.clear()
        return backprop_embed(dXs)

    return Xs, backprop


def steepest(model: EmbedT, X: Floats2d, dX: Floats2d, size: float) -> Floats2d:
    """Return η, (tokens, width), as above; 0 where there is no gradient."""
    norm = model.ops.xp.linalg.norm
    length = norm(dX)
    if not length > 0:
        return model.ops.xp.zeros_like(X)
    return dX * (size * norm(X) / length)
