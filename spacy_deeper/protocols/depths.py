"""Numbers of shared and of task-specific layers: the grid of Crone (2020), section 4."""

from collections.abc import Iterable
from itertools import product
from typing import Any

from .ablation import DEPTHS


def depth_rows(
    cells: Iterable[str], shared: Iterable[int], ner: Iterable[int], re: Iterable[int]
) -> dict[str, dict[str, Any]]:
    """Return the settings of each point of a grid, by a name such as `gru-1-1-2`."""
    return {
        "-".join(map(str, (cell, *depths))): {
            "vars.cell": cell,
            **dict(zip(DEPTHS, depths, strict=True)),
        }
        for cell, *depths in product(cells, shared, ner, re)
    }
