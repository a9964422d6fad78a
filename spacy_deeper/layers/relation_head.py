from functools import partial
from typing import Any, Literal

from spacy.util import registry
from thinc.api import Model
from thinc.types import Floats3d

from .pairs import EntitiesT, pair_layer
from .torch_layer import check_choice, check_positive
from .two_layer_scorer import ACTIVATIONS


@registry.layers("spacy_deeper.RelationHead.v1")
def RelationHead(
    hidden_size: int = 128,
    activation: str = "relu",
    dropout: float | None = None,
    scorer_hidden: int = 0,
    context: Literal["between"] | None = None,
    distance: bool = False,
    type_pairs: bool = False,
    members: int = 1,
    nI: int | None = None,
    nO: int | None = None,
) -> Model[EntitiesT, list[Floats3d]]:
    """Score pairs of entities by equations 4 to 6 of Crone (2020).

    DISTMULT, the entities through FFNN(r1), their cosine, and FFNN(r2) over all of these.

    hidden_size (int): The output size of FFNN(r1).
    activation (str): The activation of FFNN(r1), one of `ACTIVATIONS`; FFNN(r2) is linear.
    dropout (Optional[float]): The "pre-RE scoring dropout" of Table 1, on the entities;
        None obeys `[training] dropout`.

    Beyond the paper, whose FFNN(r2) has none of these:

    scorer_hidden (int): The size of a hidden layer in FFNN(r2), or 0 for none. It has the
        activation of FFNN(r1), and the dropout above.
    context (Optional[str]): "between" gives FFNN(r2) the maximum over the states of the tokens
        between both entities (Eberts and Ulges 2020), with the dropout above.
    distance (bool): Whether FFNN(r2) gets the number of tokens between both entities, in buckets,
        and which comes first.
    type_pairs (bool): Whether FFNN(r2) gets the types of both entities, as a pair.
    members (int): How many such heads there are: those of a committee.
    """
    check_choice("activation", activation, ACTIVATIONS)
    check_positive(hidden_size=hidden_size)
    if context is not None:
        check_choice("context", context, ("between",))
    if scorer_hidden:
        check_positive(scorer_hidden=scorer_hidden)
    # The widths of what the features read: a token's states, and the tags.
    dims = [name for name, wanted in (("nH", context), ("nV", type_pairs)) if wanted]

    return pair_layer(
        "relation_head",
        partial(
            build,
            hidden_size=hidden_size,
            activation=activation,
            scorer_hidden=scorer_hidden,
            distance=distance,
        ),
        dropout,
        nI,
        nO,
        pair_features=bool(context or distance or type_pairs),
        members=members,
        **dict.fromkeys(dims),
    )


def build(**sizes: Any) -> Any:
    from .pytorch.relation_head import RelationHead

    return RelationHead(**sizes)
