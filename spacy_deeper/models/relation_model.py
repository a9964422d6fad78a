from collections.abc import Callable
from typing import Any, Literal

import numpy
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model, chain
from thinc.types import Floats2d, Floats3d, Ints2d

from ..layers.label_embedding import LabelEmbedding
from ..layers.pairs import EntitiesT
from ..layers.torch_layer import check_choice, check_members, check_split, shim_of, split_rows
from ..schemes import bio
from .entity_states import ENTITY_STATES

# For each text its entities: the index of the last token, that token's BIO tag, and the index of
# the first token, (m, 3). Only what goes beyond the paper reads the first token.
RelationInT = tuple[list[Doc], list[Ints2d]]


@registry.architectures("spacy_deeper.RelationModel.v1")
def RelationModel(
    tok2vec: Model[list[Doc], list[Floats2d]],
    encode: Model[list[Floats2d], list[Floats2d]],
    head: Model[EntitiesT, list[Floats3d]],
    label_embedding: int = 25,
    entity: Literal["final", "ends", "max"] = "final",
) -> Model[RelationInT, list[Floats3d]]:
    """Score the relations of all ordered pairs of entities: section 3.3 of Crone (2020).

    An entity is its last token and the embedding of that token's tag, equation 3:
    g = h ∘ l. The output is (m, m, R) for each text of m entities, before the sigmoid;
    zeros on the diagonal. A text of no entities gets (0, 0, R), and its gradient is zero.

    If the head has members, a committee, all of this is for each of them: the columns of the
    tokens are theirs in equal shares, they have label embeddings of their own, and the scores of
    one stand beside those of the other, (m, m, members · R). `together` is what they decide.

    tok2vec: The shared layers, usually a listener.
    encode: The RE-specific layers, e.g. `spacy_deeper.BiRNN.v1`; its depth may be 0.
    head: From entities to scores of pairs, e.g. `spacy_deeper.RelationHead.v1`.
    label_embedding (int): The width of a tag's embedding, for each member.
    entity (str): The states that stand for an entity's words: those of its "final" token, as in
        the paper; of both "ends", its final and its first token; or their "max" over its tokens.
    """
    check_choice("entity", entity, ENTITY_STATES)
    members = head.attrs.get("members", 1)
    check_members("relation_model", members, encode)
    labels = LabelEmbedding(label_embedding * members)
    tokens: Model[list[Doc], list[Floats2d]] = chain(tok2vec, encode)
    return Model(
        "relation_model",
        forward,
        init=init,
        layers=[tokens, labels, head],
        dims={"nO": None},
        refs={"tok2vec": tok2vec, "tokens": tokens, "labels": labels, "output_layer": head},
        attrs={
            "resize_output": resize,
            "resize_tags": resize_tags,
            "entity": entity,
            "members": members,
        },
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
    H = tokens.predict(docs)[0]
    nothing = model.ops.xp.zeros(0, dtype="int64")
    states, _ = ENTITY_STATES[model.attrs["entity"]](model.ops, H, nothing, nothing)
    check_split(head.name, H.shape[1], model.attrs["members"])
    sizes = {
        "nI": states.shape[1] + labels.get_dim("nO"),
        "nH": H.shape[1],
        "nV": labels.has_dim("nV") and labels.get_dim("nV"),
    }
    for name, size in sizes.items():
        if name in head.dim_names and size:
            head.set_dim(name, size, force=True)
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
    H = xp.concatenate(Hs)
    sizes = [len(rows) for rows in entities]
    offsets = xp.asarray(numpy.repeat(starts, sizes), dtype="int64")
    rows = xp.concatenate(entities)
    tags = rows[:, 1]
    last = rows[:, 0] + offsets
    first = rows[:, 2] + offsets if rows.shape[1] > 2 else last
    states, bp_states = ENTITY_STATES[model.attrs["entity"]](model.ops, H, first, last)
    L, bp_labels = labels(tags, is_train)
    g, bp_join = join(xp, model.attrs["members"], H.shape[1], states, L)
    with_features = head.attrs.get("pair_features", False)
    mentions = xp.stack([first, last, bio.label_numbers(tags)], axis=1)
    scores, bp_head = head((g, sizes, mentions, H) if with_features else (g, sizes), is_train)

    def backprop(d_scores: list[Floats3d]) -> list[Doc]:
        dg, d_tokens = bp_head(d_scores) if with_features else (bp_head(d_scores), None)
        d_states, dL = bp_join(dg)
        dH = bp_states(d_states)
        if d_tokens is not None:
            dH += d_tokens
        bp_labels(dL)
        return bp_tokens(split_rows(model, dH, lengths))

    return scores, backprop


def join(
    xp: Any, members: int, width: int, states: Any, labels: Any
) -> tuple[Floats2d, Callable[[Floats2d], tuple[Floats2d, Floats2d]]]:
    """Return g of equation 3, (M, p + q), member by member, and the way back for its gradient.

    width: That of a token's states.
    states: (M, p), p being a multiple of it: several tokens' states, in each the members'.
    labels: (M, q), those of the members beside each other.
    """
    if members == 1:
        p = states.shape[1]
        return xp.hstack([states, labels]), lambda dg: (dg[:, :p], dg[:, p:])
    n_tokens, own = states.shape[1] // width, width // members
    p, q = n_tokens * own, labels.shape[1] // members
    by_member = states.reshape((-1, n_tokens, members, own)).transpose((0, 2, 1, 3))
    parts = [by_member.reshape((-1, members, p)), labels.reshape((-1, members, q))]

    def backprop(dg: Any) -> tuple[Any, Any]:
        d_parts = dg.reshape((-1, members, p + q))
        d_states = d_parts[:, :, :p].reshape((-1, members, n_tokens, own)).transpose((0, 2, 1, 3))
        return d_states.reshape(states.shape), d_parts[:, :, p:].reshape(labels.shape)

    return xp.concatenate(parts, axis=2).reshape((-1, members * (p + q))), backprop


def together(scores: Any, n_labels: int) -> Any:
    """Return the mean of the members' scores: (m, m, members · R) to (m, m, R)."""
    if scores.shape[2] == n_labels:
        return scores
    m, _, width = scores.shape
    return scores.reshape((m, m, width // n_labels, n_labels)).mean(axis=2)


def resize(model: Model, nO: int) -> Model:
    """Make room for more relation labels; what is learned stays."""
    return _resize_layer(model, "output_layer", "nO", nO=nO)


def resize_tags(model: Model, nV: int) -> Model:
    """Make room for more entity tags; what is learned stays."""
    if "nV" in model.get_ref("output_layer").dim_names:
        _resize_layer(model, "output_layer", "nV", nV=nV)
    return _resize_layer(model, "labels", "nV", num_embeddings=nV)


def _resize_layer(model: Model, ref: str, dim: str, **sizes: int) -> Model:
    layer = model.get_ref(ref)
    (size,) = sizes.values()
    layer.set_dim(dim, size, force=True)
    shim_of(layer).resize(**sizes)
    if dim == "nO":
        model.set_dim("nO", size, force=True)
    return model
