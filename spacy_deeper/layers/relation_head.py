from functools import partial
from typing import Any

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
    nI: int | None = None,
    nO: int | None = None,
) -> Model[EntitiesT, list[Floats3d]]:
    """Score pairs of entities by equations 4 to 6 of Crone (2020).

    DISTMULT, the entities through FFNN(r1), their cosine, and FFNN(r2) over all of these.

    hidden_size (int): The output size of FFNN(r1).
    activation (str): The activation of FFNN(r1), one of `ACTIVATIONS`; FFNN(r2) is linear.
    dropout (Optional[float]): The "pre-RE scoring dropout" of Table 1, on the entities;
        None obeys `[training] dropout`.
    """
    check_choice("activation", activation, ACTIVATIONS)
    check_positive(hidden_size=hidden_size)

    return pair_layer(
        "relation_head",
        partial(build, hidden_size=hidden_size, activation=activation),
        dropout,
        nI,
        nO,
    )


def build(**sizes: Any) -> Any:
    from .pytorch.relation_head import RelationHead

    return RelationHead(**sizes)
