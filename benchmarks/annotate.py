"""How much faster two processes of `relations annotate` are than one.

    OMP_NUM_THREADS=1 python benchmarks/annotate.py MODEL TEXTS

TEXTS has a document on each line. It is annotated in turns by one and by two processes, a thread
each. A run's time has the loading of the model in it, as a user's has: a few thousand texts make
little of it. Run it on a machine with two free cores; otherwise it measures what else runs there.
"""

import sys
import tempfile
from pathlib import Path
from statistics import median

import torch

from spacy_deeper.annotation import Summary, annotate

REPEATS = 5


def main(model: str, texts: Path) -> None:
    """Print the words per second of all runs, their medians and the ratio of these."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    for repeat in range(REPEATS):
        for n_process, found in rates.items():
            done = run(model, texts, n_process)
            found.append(done.words / done.seconds)
            print(f"run {repeat}, {n_process} process(es): {found[-1]:.0f} words/s", flush=True)
    one, two = map(median, rates.values())
    print(f"torch {torch.__version__}, {done.records} documents, {done.words} words")
    print(f"medians: {one:.0f} and {two:.0f} words/s, ratio {two / one:.2f}")


def run(model: str, texts: Path, n_process: int) -> Summary:
    """RETURNS (Summary): Counts, and the time it took."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out.jsonl"
        return annotate(model, texts, output, n_process=n_process, threads=1, chunk_size=100)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
