"""The distances between heads and tails, as a histogram."""

import math
from collections.abc import Mapping
from itertools import pairwise

BINS = (0, 1, 2, 3, 5, 9, 17, 33)  # the first distance of each bar of the histogram


def histogram(distances: Mapping[int, int]) -> dict[str, int]:
    """Count the distances of each of `BINS`, and -1 as "overlap", which is left out if empty."""
    counts = {}
    if distances.get(-1):
        counts["overlap"] = distances[-1]
    for low, end in pairwise((*BINS, math.inf)):
        name = f"{low}+" if end == math.inf else str(low) if end == low + 1 else f"{low}-{end - 1}"
        counts[name] = sum(n for gap, n in distances.items() if low <= gap < end)
    return counts
