"""How much faster a bidirectional GRU layer learns on the CPU than torch's own.

A step is a forward and a backward pass over a batch of packed texts of 10 to 45 tokens.
"""

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from spacy_deeper.layers.pytorch.fast_gru import GRU
from spacy_deeper.layers.pytorch.packing import time_major_order

from .report import Table
from .setup import Setup
from .timing import Timer, threads

STEPS = 5


def run(setup: Setup) -> list[Table]:
    """Measure two widths with some sizes of batches."""
    tables = []
    columns = ["input", "units", "batch", "torch, ms", "ours, ms", "torch / ours"]
    batches = (2,) if setup.quick else (2, 4, 8, 16)
    for number in setup.threads:
        with threads(number):
            rows = [
                [n_in, n_units, size, *compare(setup.timer, n_in, n_units, size)]
                for n_in, n_units in ((512, 256), (256, 128))
                for size in batches
            ]
        tables.append(Table(f"A step of a GRU layer, {number} thread(s)", columns, rows))
    return tables


def compare(timer: Timer, n_in: int, n_units: int, size: int) -> list[float]:
    """Return the milliseconds of a step of torch's layer and of ours, and their ratio."""
    torch.manual_seed(0)
    lengths = torch.randint(10, 46, (size,))
    data = torch.randn(int(lengths.sum()), n_in, requires_grad=True)
    packed = PackedSequence(data, time_major_order(lengths)[1])

    def steps_of(layer: nn.GRU) -> None:
        for _ in range(STEPS):
            layer(packed)[0].data.sum().backward()

    theirs, ours = (layer(n_in, n_units, bidirectional=True) for layer in (nn.GRU, GRU))
    seconds = timer.compare({"theirs": lambda: steps_of(theirs), "ours": lambda: steps_of(ours)})
    milliseconds = [1000 * value / STEPS for value in seconds.values()]
    return [*milliseconds, milliseconds[0] / milliseconds[1]]
