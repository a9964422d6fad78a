import torch
from torch import Tensor


class RangeMax:
    """Finds the maximum over ranges of rows, column by column.

    A sparse table (Bender and Farach-Colton 2000): its level k has the maximum of the 2^k rows from
    each row on, and any range is two of these that may overlap. Building takes O(N log n) for
    ranges of up to n rows, and each range then two rows, however long it is.

    rows: (N, w).
    """

    def __init__(self, rows: Tensor) -> None:
        self.n_rows = len(rows)
        self.table = rows  # level after level
        self.n_levels = 1

    def __call__(self, starts: Tensor, stops: Tensor) -> Tensor:
        """Return the maximum over each range.

        starts, stops: (U,), the first row of a range and the one after its last; no range is empty.
        RETURNS: (U, w). The rows that have the maximum share the gradient.
        """
        if len(starts) == 0:
            return self.table.new_zeros((0, self.table.shape[1]))
        lengths = stops - starts
        self._reach(int(lengths.max()))
        powers = 2 ** torch.arange(self.n_levels, device=starts.device)
        levels = torch.bucketize(lengths, powers, right=True) - 1
        starts = starts + levels * self.n_rows
        stops = stops + levels * self.n_rows - powers[levels]
        return torch.maximum(self.table.index_select(0, starts), self.table.index_select(0, stops))

    def _reach(self, longest: int) -> None:
        """Add levels for ranges of so many rows."""
        new = []
        below = self.table[-self.n_rows :]
        while self.n_levels < longest.bit_length():
            power = 2 ** (self.n_levels - 1)
            # The last rows have no 2^k rows after them; no range asks for theirs.
            below = torch.cat([torch.maximum(below[:-power], below[power:]), below[-power:]])
            new.append(below)
            self.n_levels += 1
        if new:
            self.table = torch.cat([self.table, *new])
