"""Texts of different lengths as one flat tensor, as a packed sequence and as a padded batch."""

import torch
from torch import Tensor


def time_major_order(lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return how to sort flat rows the way `PackedSequence` wants them.

    lengths: (B,) int64 on the CPU, the number of rows of each text; zeros are skipped.
    RETURNS: order (N,), the flat row at each packed position; batch_sizes (T,), the number of
        texts longer than t; texts (B',), the non-empty texts, longest first.
    """
    texts = torch.sort(lengths, descending=True, stable=True).indices[: int((lengths > 0).sum())]
    rank = torch.empty_like(lengths)
    rank[texts] = torch.arange(len(texts))
    text = torch.repeat_interleave(lengths)
    time = torch.arange(len(text)) - (torch.cumsum(lengths, 0) - lengths)[text]
    # Not a table of times by texts, which one long text among many would make large.
    order = (time * len(lengths) + rank[text]).argsort()
    return order, torch.bincount(time), texts


def pad(flat: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return flat rows (N, ...) as a zero-padded batch (B, T, ...) and its mask (B, T)."""
    lengths = lengths.to(flat.device)
    longest = int(lengths.max()) if len(lengths) else 0
    mask = torch.arange(longest, device=flat.device)[None, :] < lengths[:, None]
    padded = flat.new_zeros((len(lengths), longest, *flat.shape[1:]))
    padded[mask] = flat
    return padded, mask
