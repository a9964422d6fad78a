from typing import Any

from spacy.util import registry
from thinc.api import Model
from thinc.types import Floats3d

from .pairs import EntitiesT, pair_layer


@registry.layers("spacy_deeper.DistMult.v1")
def DistMult(
    dropout: float | None = None,
    members: int = 1,
    nI: int | None = None,
    nO: int | None = None,
) -> Model[EntitiesT, list[Floats3d]]:
    """Score pairs of entities by DISTMULT alone: equation 4 of Crone (2020).

    One diagonal for each relation. Blind to direction: (i, j) and (j, i) score alike.

    dropout (Optional[float]): Dropout on the entities; None obeys `[training] dropout`.
    members (int): How many such layers there are: those of a committee.
    """

    return pair_layer("distmult", build, dropout, nI, nO, members=members)


def build(**sizes: Any) -> Any:
    from .pytorch.distmult import DistMult

    return DistMult(**sizes)
