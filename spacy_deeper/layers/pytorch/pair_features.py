from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout as drop
from torch.nn.functional import embedding

from .pairs import Pairs
from .range_max import RangeMax

# The least distances of all buckets but the first: 0, 1, 2, 3, 4, 5-7, 8-15, 16-31, 32-63, 64+,
# those of Lee et al. (2017).
DISTANCES = (1, 2, 3, 4, 5, 8, 16, 32, 64)


class PairFeatures(nn.Module):
    """What FFNN(r2) may read of a pair beside equation 6 of Crone (2020), times its weights.

    - The maximum over the tokens between both entities, as in SpERT (Eberts and Ulges 2020); a
      learned vector where there are none.
    - How many tokens are between them, and which of them comes first.
    - The types of both.

    The latter two are one-hot, so their weights start at zero and are all that they need: a linear
    layer on an embedding of them would be the same function.

    nO: The output size of FFNN(r2).
    nH: The width of the tokens' states, or 0 without the tokens between.
    distance: Whether the distance counts.
    nT: The number of entity types, that of O included, or 0 without them.
    """

    def __init__(self, nO: int, nH: int, distance: bool, nT: int) -> None:
        super().__init__()
        self.context = nn.Linear(nH, nO, bias=False) if nH else None
        self.no_context = nn.Parameter(torch.zeros(nH)) if nH else None
        n_distances = 2 * (len(DISTANCES) + 1) if distance else 0
        self.distance = nn.Parameter(torch.zeros(n_distances, nO)) if distance else None
        self.types = nn.Parameter(torch.zeros(nT, nT, nO)) if nT else None

    def shared(
        self, pairs: Pairs, mentions: Tensor | None, between: RangeMax | None, dropout: float
    ) -> Iterator[Tensor]:
        """Give what is the same for both directions of pairs, (U, nO) each.

        mentions: (M, 3), for each entity its first and last token, and its type's number.
        between: Over the states of the tokens of all texts, (N, nH).
        dropout: The rate on the states between.
        """
        if self.context is None:
            return
        assert self.no_context is not None
        assert mentions is not None
        assert between is not None
        starts, stops = gaps(pairs.first, pairs.second, mentions)
        (some,) = torch.where(starts < stops)
        pooled = between(starts[some], stops[some])
        states = self.no_context.expand(len(starts), -1).index_copy(0, some, pooled)
        yield self.context(drop(states, dropout, self.training))

    def directed(self, heads: Tensor, tails: Tensor, mentions: Tensor | None) -> Iterator[Tensor]:
        """Give what depends on which entity is the head, (U, nO) each; heads and tails (U,)."""
        if self.distance is not None:
            assert mentions is not None
            first = mentions[:, 0]
            starts, stops = gaps(heads, tails, mentions)
            bucket = torch.bucketize(stops - starts, starts.new_tensor(DISTANCES), right=True)
            backwards = first[heads] > first[tails]
            yield embedding(bucket + backwards * (len(DISTANCES) + 1), self.distance)
        if self.types is not None:
            assert mentions is not None
            types = mentions[:, 2]
            numbers = types[heads] * len(self.types) + types[tails]
            yield embedding(numbers, self.types.flatten(0, 1))


def gaps(heads: Tensor, tails: Tensor, mentions: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first token between the entities of each pair, and the one after the last."""
    first, last = mentions[:, 0], mentions[:, 1]
    starts = torch.minimum(last[heads], last[tails]) + 1
    return starts, torch.maximum(first[heads], first[tails])
