import torch
from torch import Tensor, nn

from .packing import pad

# Padded pairs that are scored at once, if a single text has no more: bounds what padding costs.
BLOCK = 2**16


class PairScorer(nn.Module):
    """Scores all ordered pairs of entities of each text, by `all_pairs`."""

    def all_pairs(self, g: Tensor) -> Tensor:
        """Score every ordered pair of each text: g (B, m, p) to (B, m, m, R)."""
        raise NotImplementedError

    def forward(self, entities: Tensor, sizes: Tensor, *, dropout: float = 0.0) -> Tensor:
        """Score the pairs of each text.

        entities: (M, p), g of equation 3 for the entities of all texts.
        sizes: (B,), entities per text.
        dropout: The rate on the entities.
        RETURNS: (Σ m², R), before any sigmoid: text by text, head by head, tail by tail; i = j
            included.
        """
        g = nn.functional.dropout(entities, dropout, self.training)
        scores = []
        for texts in blocks(sizes.tolist()):
            rows, g = g.tensor_split([int(sizes[texts].sum())])
            padded, mask = pad(rows, sizes[texts])
            scores.append(self.all_pairs(padded)[mask[:, :, None] & mask[:, None, :]])
        return torch.cat(scores)


def blocks(sizes: list[int]) -> list[slice]:
    """Cut the texts into runs that, padded to their largest, have at most `BLOCK` pairs."""
    found = []
    start = largest = 0
    for i, size in enumerate(sizes):
        largest = max(largest, size)
        if i > start and (i - start + 1) * largest**2 > BLOCK:
            found.append(slice(start, i))
            start, largest = i, size
    return [*found, slice(start, len(sizes))]
