"""How much faster a bidirectional GRU layer learns on the CPU than torch's own.

    OMP_NUM_THREADS=1 python benchmarks/gru.py

A step is a forward and a backward pass over a batch of packed texts of 10 to 45 tokens. Both layers
take turns, and the times are those that the process has the processor, so that a busy machine
disturbs both alike.
"""

from collections.abc import Callable
from statistics import median
from time import process_time

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from spacy_deeper.layers.pytorch.fast_gru import GRU
from spacy_deeper.layers.pytorch.packing import time_major_order

REPEATS = 30


def main() -> None:
    """Print the median milliseconds of a step, and their ratio."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} thread(s)")
    print(f"{'input':>6}{'units':>6}{'batch':>6}{'torch, ms':>11}{'ours, ms':>10}{'ratio':>7}")
    for n_in, n_units in ((512, 256), (256, 128)):
        for size in (2, 4, 8, 16):
            theirs, ours = compare(n_in, n_units, size)
            milliseconds = f"{theirs * 1000:11.1f}{ours * 1000:10.1f}"
            print(f"{n_in:6}{n_units:6}{size:6}{milliseconds}{theirs / ours:7.2f}", flush=True)


def compare(n_in: int, n_units: int, size: int) -> tuple[float, float]:
    """RETURNS (Tuple[float, float]): Seconds of a step of torch's layer and of ours."""
    torch.manual_seed(0)
    lengths = torch.randint(10, 46, (size,))
    data = torch.randn(int(lengths.sum()), n_in, requires_grad=True)
    packed = PackedSequence(data, time_major_order(lengths)[1])
    layers = [layer(n_in, n_units, bidirectional=True) for layer in (nn.GRU, GRU)]
    times: list[list[float]] = [[], []]
    for repeat in range(REPEATS + 5):
        for layer, seconds in zip(layers, times, strict=True):
            taken = timed(lambda layer=layer: layer(packed)[0].data.sum().backward())
            if repeat >= 5:
                seconds.append(taken)
    theirs, ours = map(median, times)
    return theirs, ours


def timed(step: Callable[[], None]) -> float:
    """RETURNS (float): How long the process worked on it."""
    start = process_time()
    step()
    return process_time() - start


if __name__ == "__main__":
    main()
