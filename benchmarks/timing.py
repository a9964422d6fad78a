"""Fair timing: what is compared takes turns within one run, and medians count."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy
import torch

# Wall time is what users wait. The time of the processor is for a busy machine, and one thread.
CLOCKS: dict[str, Callable[[], float]] = {"wall": perf_counter, "cpu": process_time}


@dataclass
class Timer:
    """Times functions.

    repeats: How often each is timed.
    clock: Returns seconds.
    warm_up: How often each is called before.
    """

    repeats: int = 5
    clock: Callable[[], float] = perf_counter
    warm_up: int = 1

    def compare(self, functions: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
        """Return the median seconds of each function, which take turns."""
        for _ in range(self.warm_up):
            for function in functions.values():
                function()
        seconds: dict[str, list[float]] = {name: [] for name in functions}
        for _ in range(self.repeats):
            for name, function in functions.items():
                seconds[name].append(self.once(function))
        return {name: median(values) for name, values in seconds.items()}

    def once(self, function: Callable[[], Any]) -> float:
        """Return the seconds of one call."""
        start = self.clock()
        function()
        return self.clock() - start


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Let torch compute in so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """Return b of seconds = a · size^b, fitted by least squares to the logarithms."""
    return float(numpy.polyfit(numpy.log(sizes), numpy.log(seconds), 1)[0])
