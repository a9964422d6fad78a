"""The entry point: `python -m benchmarks [NAME ...] [options]`."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from spacy.util import load_config
from wasabi import msg

from spacy_deeper.protocols.environment import machine, versions

from . import cache, growth, gru, inference, memory, relation_head, training
from .pipelines import paper_config
from .report import Table, save
from .setup import Setup
from .timing import CLOCKS, Timer

BENCHMARKS: dict[str, Callable[[Setup], list[Table]]] = {
    "inference": inference.run,
    "training": training.run,
    "relation-head": relation_head.run,
    "memory": memory.run,
    "growth": growth.run,
    "cache": cache.run,
    "gru": gru.run,
}


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; or all")
    parser.add_argument("--data", type=Path, help="texts to read, .spacy (the sample corpus)")
    parser.add_argument("--train", type=Path, help="texts to train with, .spacy (the sample's)")
    parser.add_argument("--model", type=Path, help="our trained pipeline (one of an epoch is made)")
    parser.add_argument("--config", type=Path, help="its config (the paper's CoNLL04, MiniLM)")
    parser.add_argument("--output", type=Path, help="JSON to write, and .md, its page, beside it")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="(1 2)")
    parser.add_argument("--repeats", type=int, help="how often each is timed (3)")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: on a busy machine")
    parser.add_argument("--quick", action="store_true", help="measure little, see that it works")
    return parser


def main(args: list[str] | None = None) -> None:
    """Run benchmarks, print their tables, and save them."""
    # One more or less would not be counted in the number of threads.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    options = parser().parse_args(args)
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser().error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(BENCHMARKS)}")
    config = load_config(options.config, interpolate=False) if options.config else paper_config()
    repeats = options.repeats or (1 if options.quick else 3)
    timer = Timer(repeats, CLOCKS[options.clock])
    setup = Setup(
        options.data, options.train, options.model, config, options.threads, timer, options.quick
    )
    about = {
        **machine(),
        "cores": os.cpu_count(),
        **versions(),
        "data": options.data.name if options.data else "the sample corpus",
        "clock": options.clock,
        "repeats": repeats,
        "quick": options.quick,
    }
    msg.table(about)
    results = {}
    begin = perf_counter()
    for name in options.names or BENCHMARKS:
        results[name] = BENCHMARKS[name](setup)
        for table in results[name]:
            table.show()
        if options.output:
            save(options.output, about, results)
    msg.good(f"Done in {perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
