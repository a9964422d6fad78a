"""The entry point: `python -m benchmarks [NAME ...] [options]`."""

import argparse
import os
import shlex
import sys
from datetime import date
from pathlib import Path
from time import perf_counter
from types import ModuleType

from spacy.util import load_config
from wasabi import msg

from spacy_deeper.protocols.environment import machine, versions

from . import annotate, cache, growth, gru, inference, memory, quantized, relation_head, training
from .page import save
from .pipelines import paper_config
from .setup import Setup
from .targets import compared
from .timing import CLOCKS, Timer

# Each has a docstring that says what it measures, and `run(setup)`, which returns tables.
BENCHMARKS: dict[str, ModuleType] = {
    "inference": inference,
    "quantized": quantized,
    "training": training,
    "relation-head": relation_head,
    "memory": memory,
    "growth": growth,
    "annotate": annotate,
    "cache": cache,
    "gru": gru,
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
    parser.add_argument("--threads", type=int, nargs="+", help="(1 2; by the cpu, 1)")
    parser.add_argument("--repeats", type=int, help="how often each is timed (3)")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: on a busy machine")
    parser.add_argument("--quick", action="store_true", help="measure little, see that it works")
    return parser


def main(args: list[str] | None = None) -> None:
    """Run benchmarks, print their tables, and save them."""
    # One more or less would not be counted in the number of threads.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    args = sys.argv[1:] if args is None else args
    options = parser().parse_args(args)
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser().error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(BENCHMARKS)}")
    threads = options.threads or ([1] if options.clock == "cpu" else [1, 2])
    if options.clock == "cpu" and max(threads) > 1:
        parser().error("--clock cpu adds the time of all threads up: take --threads 1")
    config = load_config(options.config, interpolate=False) if options.config else paper_config()
    repeats = options.repeats or (1 if options.quick else 3)
    timer = Timer(repeats, CLOCKS[options.clock])
    setup = Setup(options.data, options.train, options.model, config, threads, timer, options.quick)
    about = {
        "date": date.today().isoformat(),
        "command": f"`{command(args)}`",
        **machine(),
        "cores": os.cpu_count(),
        **versions(),
        "texts": options.data.name if options.data else "the sample corpus",
        "training texts": options.train.name if options.train else "the sample corpus",
        "pipeline": options.model.name if options.model else "trained for this",
        "clock": options.clock,
        "repeats": repeats,
        "quick": options.quick,
    }
    msg.table(about)
    results = {}
    begin = perf_counter()
    for name in options.names or BENCHMARKS:
        results[name] = BENCHMARKS[name].run(setup)
        for table in results[name]:
            table.show()
        if options.output:
            save(options.output, about, purpose(name), name, results[name])
    targets = compared(results)
    if targets.rows and not options.quick:  # so little says nothing of them
        targets.show()
    msg.good(f"Done in {perf_counter() - begin:.0f} s")


def purpose(name: str) -> str:
    """Return what a benchmark measures: how its docstring begins."""
    return (BENCHMARKS[name].__doc__ or "").split("\n\n")[0]


def command(args: list[str]) -> str:
    """Return the command line, with the last parts of paths that only this machine has."""
    shown = [Path(arg).name if Path(arg).is_absolute() else arg for arg in args]
    return shlex.join(["python", "-m", "benchmarks", *shown])


if __name__ == "__main__":
    main()
