from collections.abc import Callable
from functools import partial
from typing import Any

from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model, chain, concatenate
from thinc.types import Floats2d

from ..errors import Errors
from ..layers.adversarial import Adversarial
from ..layers.token_dropout import TokenDropout

EmbedT = Model[list[Doc], list[Floats2d]]


@registry.architectures("spacy_deeper.JointEmbed.v1")
def JointEmbed(
    contextual: EmbedT | None = None,
    static: EmbedT | None = None,
    char: EmbedT | None = None,
    casing: EmbedT | None = None,
    token_dropout: float = 0.0,
    adversarial: float = 0.0,
) -> EmbedT:
    """Embed tokens by equation 1 of Crone (2020): v = t_elmo ∘ t_glove ∘ t_char ∘ t_casing.

    Each part is optional and maps docs to an array (tokens, width) for each. Characters come last
    if they are those of a committee's members, which share them out (`spacy_deeper.BiRNN.v1`).

    contextual: A contextual encoder, e.g. `spacy_deeper.FrozenTransformer.v1`, or a listener to a
        `transformer` component, which is trained then.
    static: Word vectors, e.g. `spacy_deeper.StaticVectors.v1`.
    char: A word's characters, e.g. `spacy_deeper.CharBiRNN.v1`.
    casing: `spacy_deeper.Casing.v1`.
    token_dropout (float): The share of the tokens that training hides, which the paper does not.
    adversarial (float): How far training moves a text's vectors to where its loss is larger, as a
        share of their length, which the paper does not. Needs `spacy_deeper.batch_twice.v1`.
    """
    if contextual is not None and contextual.has_ref("listener"):
        contextual = of_known_width(contextual)
    order = [contextual, static, char, casing]
    own = 0
    if char is not None and char.attrs.get("members", 1) > 1:
        order = [contextual, static, casing, char]
        own = char.get_dim("nO")
    parts = [part for part in order if part is not None]
    if not parts:
        raise ValueError(Errors.D205)
    joint = side_by_side(parts)
    if adversarial:
        joint = Adversarial(joint, adversarial)
    if token_dropout:
        joint = chain(joint, TokenDropout(token_dropout))
    joint.attrs["own_columns"] = own
    return joint


def side_by_side(parts: list[EmbedT]) -> EmbedT:
    """Do what Thinc's `concatenate` does, but if nothing learns, each text by itself.

    Fresh memory for all texts at once would cost more than what is done with it.
    """
    joint: EmbedT = concatenate(*parts)
    if len(parts) > 1:
        joint._func = partial(concatenate_texts, joint._func)
    return joint


def concatenate_texts(
    theirs: Callable[..., Any], model: EmbedT, docs: list[Doc], is_train: bool
) -> Any:
    if is_train:
        return theirs(model, docs, is_train)
    Ys = [layer.predict(docs) for layer in model.layers]
    return [model.ops.xp.concatenate(Y, axis=1) for Y in zip(*Ys, strict=True)], lambda dYs: []


def of_known_width(listening: EmbedT) -> EmbedT:
    """Give an empty doc a width, too: a listener to a transformer gives it (0, 0)."""
    return Model("of_known_width", forward, init=init, layers=[listening], dims={"nO": None})


def init(model: Model, X: list[Doc] | None = None, Y: Any = None) -> None:
    listening = model.layers[0]
    listener = listening.get_ref("listener")
    if not listener.has_dim("nO"):
        raise ValueError(Errors.D268)
    model.set_dim("nO", listener.get_dim("nO"))
    listening.initialize(X=X)


def forward(
    model: Model, docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], Any]]:
    Ys, backprop = model.layers[0](docs, is_train)
    empty = model.ops.alloc2f(0, model.get_dim("nO"))
    # Not all listeners' backprops return a list, which thinc adds to those of other parts.
    return [Y if len(Y) else empty for Y in Ys], lambda dYs: backprop(dYs) or []
