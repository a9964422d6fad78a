"""How much faster a bidirectional GRU layer is on the CPU than torch's own.

A step of training is a forward and a backward pass over a batch of packed texts.
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
SIZES = ((512, 256), (256, 128))
# Texts of a batch, and how many tokens the longest may have; the shortest has 10.
BATCHES = ((2, 45), (4, 45), (8, 45), (16, 45))
READ = ((1, 2_000), (8, 45), (64, 45))
COLUMNS = ["input", "units", "batch", "tokens up to", "torch, ms", "ours, ms", "torch / ours"]


def run(setup: Setup) -> list[Table]:
    """Measure two widths with some sizes of batches."""
    tables = []
    for number in setup.threads:
        for title, batches, step in (
            ("A step of a GRU layer", BATCHES, learn),
            ("A GRU layer at inference", READ, read),
        ):
            some = batches[:1] if setup.quick else batches
            with threads(number):
                rows = [
                    [*units, size, tokens, *compare(setup.timer, step, units, size, tokens)]
                    for units in SIZES
                    for size, tokens in some
                ]
            tables.append(Table(f"{title}, {number} thread(s)", COLUMNS, rows))
    return tables


def compare(
    timer: Timer, step: Callable[..., Any], units: tuple[int, int], size: int, tokens: int
) -> list[float]:
    """Return the milliseconds of a step of torch's layer and of ours, and their ratio."""
    torch.manual_seed(0)
    lengths = torch.randint(10, tokens + 1, (size,)) if size > 1 else torch.tensor([tokens])
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
