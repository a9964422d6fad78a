import torch
from torch import Tensor


def range_max(rows: Tensor, starts: Tensor, stops: Tensor) -> Tensor:
    """Return the maximum over each range of rows, column by column.

    A sparse table (Bender and Farach-Colton 2000): its level k has the maximum of the 2^k rows from
    each row on, and any range is two of these that may overlap. Building takes O(N log n) for
    ranges of up to n rows, and each range then two rows, however long it is.

    rows: (N, w). starts, stops: (U,), the first row of a range and the one after its last; no
        range is empty.
    RETURNS: (U, w). The gradient goes to the rows that have the maximum, in equal parts.
    """
    if len(starts) == 0:
        return rows.new_zeros((0, rows.shape[1]))
    lengths = stops - starts
    powers = 2 ** torch.arange(int(lengths.max()).bit_length(), device=rows.device)
    levels = torch.bucketize(lengths, powers, right=True) - 1
    table = [rows]
    for power in powers[:-1].tolist():
        below = table[-1]
        # The last rows have no 2^k rows after them; no range asks for theirs.
        table.append(torch.cat([torch.maximum(below[:-power], below[power:]), below[-power:]]))
    flat = torch.cat(table)
    starts = starts + levels * len(rows)
    stops = stops + levels * len(rows) - powers[levels]
    return torch.maximum(flat.index_select(0, starts), flat.index_select(0, stops))
