import torch
from torch import Tensor, nn
from torch.nn.functional import dropout as drop
from torch.nn.functional import embedding

from .range_max import range_max

# Pairs whose tokens between are read at once.
BLOCK = 2**16
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

    def forward(
        self, sizes: Tensor, mentions: Tensor, tokens: Tensor, dropout: float = 0.0
    ) -> Tensor:
        """Read all ordered pairs of each text.

        sizes: (B,), entities per text.
        mentions: (M, 3), for each entity its first and last token as rows of `tokens`, and its
            type's number.
        tokens: (N, nH), the states of the tokens of all texts.
        dropout: The rate on the states between.
        RETURNS: (Σ m², nO), text by text, head by head, tail by tail; i = j included.
        """
        heads, tails = all_pairs(sizes, tokens.device)
        first, last, types = mentions.unbind(1)
        start = torch.minimum(last[heads], last[tails]) + 1
        stop = torch.maximum(first[heads], first[tails])
        parts = []
        if self.context is not None:
            parts.append(self.between(tokens, sizes, heads <= tails, start, stop, dropout))
        if self.distance is not None:
            gaps = torch.bucketize(stop - start, start.new_tensor(DISTANCES), right=True)
            backwards = first[heads] > first[tails]
            parts.append(embedding(gaps + backwards * (len(DISTANCES) + 1), self.distance))
        if self.types is not None:
            parts.append(
                embedding(types[heads] * len(self.types) + types[tails], self.types.flatten(0, 1))
            )
        return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]

    def between(
        self,
        tokens: Tensor,
        sizes: Tensor,
        wanted: Tensor,
        start: Tensor,
        stop: Tensor,
        dropout: float,
    ) -> Tensor:
        """Return what the tokens between add to all pairs, (Σ m², nO).

        Both directions of a pair have the same tokens between: only one is `wanted`, (Σ m²,).
        """
        assert self.context is not None
        assert self.no_context is not None
        parts = []
        ranges = torch.stack([start[wanted], stop[wanted]])
        for starts, stops in ranges.split(BLOCK, dim=1):
            (some,) = torch.where(starts < stops)
            pooled = range_max(tokens, starts[some], stops[some])
            states = self.no_context.expand(len(starts), -1).index_copy(0, some, pooled)
            parts.append(self.context(drop(states, dropout, self.training)))
        number = torch.cumsum(wanted, 0) - 1
        mirrored = number[mirror(sizes, tokens.device)]
        return torch.cat(parts).index_select(0, torch.where(wanted, number, mirrored))


def all_pairs(sizes: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the heads and the tails, (Σ m²,) each, of all ordered pairs of each text."""
    text, head, tail = _numbers(sizes, device)
    offset = (torch.cumsum(sizes, 0) - sizes).to(device)[text]
    return offset + head, offset + tail


def mirror(sizes: Tensor, device: torch.device) -> Tensor:
    """Return where the pair (j, i) is, (Σ m²,), among all ordered pairs (i, j) of each text."""
    text, head, tail = _numbers(sizes, device)
    squares = sizes**2
    offset = (torch.cumsum(squares, 0) - squares).to(device)[text]
    return offset + tail * sizes.to(device)[text] + head


def _numbers(sizes: Tensor, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return each pair's text, and its head's and tail's number within it."""
    squares = sizes**2
    text = torch.repeat_interleave(squares)
    within = torch.arange(len(text)) - (torch.cumsum(squares, 0) - squares)[text]
    head = torch.div(within, sizes[text], rounding_mode="floor")  # torch 1.12 warns of //
    return text.to(device), head.to(device), (within % sizes[text]).to(device)
