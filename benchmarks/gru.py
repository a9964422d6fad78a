"""How much faster a bidirectional GRU layer is on the CPU than torch's own.

A step of training is a forward and a backward pass over a batch of packed texts of 10 to 45 tokens.
At inference, layers of fewer than 256 units and batches of fewer than 16 texts are torch's own.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from spacy_deeper.layers.pytorch.fast_gru import GRU
from spacy_deeper.layers.pytorch.packing import time_major_order

from .report import Table
from .setup import Setup
from .timing import Timer, threads

STEPS = 5
# Inputs and units, and texts of a batch.
LEARN = ((512, 256), (256, 128)), (2, 4, 8, 16)
READ = ((1024, 512), (512, 256)), (64, 32, 16)
COLUMNS = ["input", "units", "batch", "torch, ms", "ours, ms", "torch / ours"]


def run(setup: Setup) -> list[Table]:
    """Measure two widths with some sizes of batches."""
    tables = []
    for number in setup.threads:
        for title, step, (widths, batches) in (
            ("A step of a GRU layer", learn, LEARN),
            ("A GRU layer at inference", read, READ),
        ):
            with threads(number):
                rows = [
                    [*units, size, *compare(setup.timer, step, units, size)]
                    for units in widths
                    for size in (batches[:1] if setup.quick else batches)
                ]
            tables.append(Table(f"{title}, {number} thread(s)", COLUMNS, rows))
    return tables


def compare(
    timer: Timer, step: Callable[..., Any], units: tuple[int, int], size: int
) -> list[float]:
    """Return the milliseconds of a step of torch's layer and of ours, and their ratio."""
    torch.manual_seed(0)
    lengths = torch.randint(10, 46, (size,))
    n_in, n_units = units
    data = torch.randn(int(lengths.sum()), n_in, requires_grad=True)
    packed = PackedSequence(data, time_major_order(lengths)[1])

    def steps_of(layer: nn.GRU) -> None:
        for _ in range(STEPS):
            step(layer, packed)

    theirs, ours = (layer(n_in, n_units, bidirectional=True) for layer in (nn.GRU, GRU))
    seconds = timer.compare({"theirs": lambda: steps_of(theirs), "ours": lambda: steps_of(ours)})
    milliseconds = [1000 * value / STEPS for value in seconds.values()]
    return [*milliseconds, milliseconds[0] / milliseconds[1]]


def learn(layer: nn.GRU, packed: PackedSequence) -> None:
    """Run a layer forwards and backwards."""
    layer(packed)[0].data.sum().backward()


@torch.no_grad()
def read(layer: nn.GRU, packed: PackedSequence) -> None:
    """Run a layer forwards."""
    layer(packed)
