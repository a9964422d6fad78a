from collections.abc import Callable
from typing import Any

import numpy
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model, chain
from thinc.types import Floats2d, Floats3d, Ints2d

from ..layers.label_embedding import LabelEmbedding
from ..layers.pairs import EntitiesT
from ..layers.torch_layer import shim_of, split_rows

# For each text its entities: the index of the last token and that token's BIO tag, (m, 2).
RelationInT = tuple[list[Doc], list[Ints2d]]


@registry.architectures("spacy_deeper.RelationModel.v1")
def RelationModel(
    tok2vec: Model[list[Doc], list[Floats2d]],
    encode: Model[list[Floats2d], list[Floats2d]],
    head: Model[EntitiesT, list[Floats3d]],
    label_embedding: int = 25,
) -> Model[RelationInT, list[Floats3d]]:
    """Score the relations of all ordered pairs of entities: section 3.3 of Crone (2020).

    An entity is its last token and the embedding of that token's tag, equation 3:
    g = h ∘ l. The output is (m, m, R) for each text of m entities, before the sigmoid;
    the diagonal has no meaning. A text of no entities gets (0, 0, R), and its gradient is zero.

    tok2vec: The shared layers, usually a listener.
    encode: The RE-specific layers, e.g. `spacy_deeper.BiRNN.v1`; its depth may be 0.
    head: From entities to scores of pairs, e.g. `spacy_deeper.RelationHead.v1`.
    label_embedding (int): The width of a tag's embedding.
    """
    labels = LabelEmbedding(label_embedding)
    tokens: Model[list[Doc], list[Floats2d]] = chain(tok2vec, encode)
    return Model(
        "relation_model",
        forward,
        init=init,
        layers=[tokens, labels, head],
        dims={"nO": None},
        refs={"tok2vec": tok2vec, "tokens": tokens, "labels": labels, "output_layer": head},
        attrs={"resize_output": resize, "resize_tags": resize_tags},
    )


def init(model: Model, X: RelationInT | None = None, Y: Any = None) -> None:
    tokens, labels, head = model.layers
    if model.has_dim("nO"):
        head.set_dim("nO", model.get_dim("nO"), force=True)
    labels.initialize()
    if X is None:
        return
    docs = X[0]
    tokens.initialize(X=docs)
    width = tokens.predict(docs)[0].shape[1]
    head.set_dim("nI", width + labels.get_dim("nO"), force=True)
    head.initialize()


def forward(
    model: Model, inputs: RelationInT, is_train: bool
) -> tuple[list[Floats3d], Callable[[list[Floats3d]], list[Doc]]]:
    docs, entities = inputs
    tokens, labels, head = model.layers
    xp = model.ops.xp
    Hs, bp_tokens = tokens(docs, is_train)
    lengths = [len(H) for H in Hs]
    starts = numpy.cumsum([0, *lengths[:-1]]).tolist()
    last = xp.concatenate(
        [rows[:, 0] + start for rows, start in zip(entities, starts, strict=True)]
    )
    H = xp.concatenate(Hs)
    L, bp_labels = labels(xp.concatenate([rows[:, 1] for rows in entities]), is_train)
    g = xp.hstack([H[last], L])  # equation 3
    scores, bp_head = head((g, [len(rows) for rows in entities]), is_train)

    def backprop(d_scores: list[Floats3d]) -> list[Doc]:
        dg = bp_head(d_scores)
        dH = xp.zeros_like(H)
        # Two entities may end at one token: their gradients add up.
        model.ops.scatter_add(dH, last, dg[:, : H.shape[1]])
        bp_labels(dg[:, H.shape[1] :])
        return bp_tokens(split_rows(model, dH, lengths))

    return scores, backprop


def resize(model: Model, nO: int) -> Model:
    """Make room for more relation labels; what is learned stays."""
    return _resize_layer(model, "output_layer", "nO", nO=nO)


def resize_tags(model: Model, nV: int) -> Model:
    """Make room for more entity tags; what is learned stays."""
    return _resize_layer(model, "labels", "nV", num_embeddings=nV)


def _resize_layer(model: Model, ref: str, dim: str, **sizes: int) -> Model:
    layer = model.get_ref(ref)
    (size,) = sizes.values()
    layer.set_dim(dim, size, force=True)
    shim_of(layer).resize(**sizes)
    if dim == "nO":
        model.set_dim("nO", size, force=True)
    return model
