from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding

# Padded pairs that are scored at once: bounds memory, however many entities there are. Of fewer,
# more of what is between the layers stays in a processor's cache.
BLOCK = 2**12


@dataclass
class Pairs:
    """U pairs of two entities of one text, i < j, in either direction.

    first, second: (U,), the entities i and j, as rows of all texts' entities.
    there, back: (U,), where (i, j) and (j, i) are among all scores: text by text, head by head,
        tail by tail.
    rows, columns: (B, n) and (B, m), the entities of a padded table that has all pairs.
    cells: Three times (U,), the place of each pair in that table.
    """

    first: Tensor
    second: Tensor
    there: Tensor
    back: Tensor
    rows: Tensor
    columns: Tensor
    cells: tuple[Tensor, Tensor, Tensor]

    @property
    def directions(self) -> tuple[tuple[Tensor, Tensor, Tensor], ...]:
        """Each direction's heads, tails, and where their scores go."""
        return (self.first, self.second, self.there), (self.second, self.first, self.back)

    def products(self, x: Tensor, diagonals: Tensor) -> Tensor:
        """Return x_iᵀ · diag(d) · x_j for each pair and diagonal, (U, R).

        One batched matrix product, never a tensor of pairs by p.

        x: (M, p), a row for each entity. diagonals: (R, p).
        """
        rows = embedding(self.rows, x)[:, :, None] * diagonals  # (B, n, R, p)
        table = rows.flatten(1, 2) @ embedding(self.columns, x).transpose(1, 2)
        text, i, j = self.cells
        return table.unflatten(1, rows.shape[1:3])[text, i, :, j]


def blocks(sizes: Tensor, device: torch.device) -> Iterator[Pairs]:
    """Give all pairs of each text, in blocks of at most `BLOCK` cells.

    sizes: (B,), entities per text, on the CPU.
    """
    on_cpu = sizes.tolist()
    sizes = sizes.to(device)
    starts = torch.cumsum(sizes, 0) - sizes
    squares = torch.cumsum(sizes**2, 0) - sizes**2
    for texts, heads in cuts(on_cpu):
        start, size = starts[texts, None], sizes[texts, None]
        i = torch.arange(heads.start, heads.stop, device=device)
        j = torch.arange(heads.start, max(on_cpu[texts]), device=device)
        # Beyond a text's entities are others', or none at all: no pair is there.
        rows, columns = ((start + x).clamp(max=sum(on_cpu) - 1) for x in (i, j))
        text, a, b = torch.where((i[:, None] < j) & (j < size[:, :, None]))
        i, j = i[a], j[b]
        start, size, square = (x[texts][text] for x in (starts, sizes, squares))
        there, back = square + i * size + j, square + j * size + i
        yield Pairs(start + i, start + j, there, back, rows, columns, (text, a, b))


def cuts(sizes: list[int]) -> Iterator[tuple[slice, slice]]:
    """Cut the texts into runs, and a large text's entities too, for small tables of pairs.

    A table has these entities i of each text of a run, by all that are not before the first of
    them: at most `BLOCK` cells, or one i.
    """
    runs = []
    start = largest = 0
    for stop, size in enumerate(sizes):
        largest = max(largest, size)
        if stop > start and (stop - start + 1) * largest**2 > BLOCK:
            runs.append(slice(start, stop))
            start, largest = stop, size
    for texts in [*runs, slice(start, len(sizes))]:
        largest = max(sizes[texts], default=0)
        n_texts = len(sizes[texts])
        first = 0
        while first < largest - 1:  # the last entity has none after it
            stop = min(largest, first + max(1, BLOCK // (n_texts * (largest - first))))
            yield texts, slice(first, stop)
            first = stop
