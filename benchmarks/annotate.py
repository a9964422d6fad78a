"""`relations annotate`: what a second process gains, and how memory grows with the documents.

    python -m benchmarks.annotate MODEL TEXTS

is a run in a process of its own: it prints the most MiB that it and a worker of it had.
"""

import json
import sys
from collections.abc import Iterator
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from spacy.tokens import Doc

from spacy_deeper.annotation import Summary, annotate

from .encoder import bare_encoder
from .memory import children_peak_mib, peak_mib, python
from .report import Table
from .setup import Setup
from .timing import Timer, threads

PROCESSES = 2
WORDS = 300_000
ENCODED = 1_000  # of few texts sorted by length, a batch would have more padding
DOCUMENTS = 2_000
SPEED = f"""A thread for each process; always by the wall clock, and with the loading of the model.
It takes a machine with two free cores: otherwise it measures what else runs there. `encoder alone`
is the forward pass of the frozen encoder over at most {ENCODED:,} of the documents, sorted by
length, in one process with as many threads."""
MEMORY = f"""The most MiB that the main process had, that the larger one of {PROCESSES} workers had,
and what all of them had at most. Each document has a word that no other has."""


def run(setup: Setup) -> list[Table]:
    """Measure the time of one process and of two, and the memory of few and of many documents."""
    with TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        setup.frozen.to_disk(model)
        return [speed(setup, model), memory(setup, model)]


def speed(setup: Setup, model: Path) -> Table:
    """Let one process and two take turns."""
    per_doc = sum(map(len, setup.docs)) / len(setup.docs)
    number = round((1_000 if setup.quick else WORDS) / per_doc)
    texts = write(model.with_name("texts.txt"), setup.docs, number)
    first = sorted(lines(setup.docs, min(number, ENCODED)), key=len)
    encoder = bare_encoder(setup.frozen, first)
    words = 0

    def annotating(n_process: int) -> None:
        nonlocal words
        with threads(1):
            words = annotated(model, texts, n_process).words

    def encoding(n_threads: int) -> None:
        with threads(n_threads):
            encoder()

    encoding(1)  # what is made once does not count
    numbers = (1, PROCESSES)
    ours = {f"ours {n}": partial(annotating, n) for n in numbers}
    alone = {f"encoder {n}": partial(encoding, n) for n in numbers}
    seconds = Timer(setup.timer.repeats, warm_up=0).compare(ours | alone)
    n_words = sum(len(setup.frozen.make_doc(text)) for text in first)
    rows = []
    for n in numbers:
        s, theirs = seconds[f"ours {n}"], n_words / seconds[f"encoder {n}"]
        gain = seconds["ours 1"] / s
        rows.append([n, number, words, s, words / s, gain, theirs, words / s / theirs])
    columns = [
        "processes",
        "documents",
        "words",
        "seconds",
        "words per second",
        "times one process",
        "encoder alone",
        "ours / encoder",
    ]
    return Table("Annotating with processes", columns, rows, SPEED)


def memory(setup: Setup, model: Path) -> Table:
    """Annotate some documents, and ten times as many."""
    rows = []
    few = 20 if setup.quick else DOCUMENTS
    for number in (few, 10 * few):
        texts = write(model.with_name("texts.txt"), setup.docs, number)
        printed = python("-m", "benchmarks.annotate", str(model), str(texts))
        main, worker = json.loads(printed.splitlines()[-1])
        rows.append([number, main, worker, main + PROCESSES * worker])
    columns = ["documents", "main process, MiB", "a worker, MiB", "all, MiB"]
    return Table("Memory of annotating", columns, rows, MEMORY)


def write(path: Path, docs: list[Doc], number: int) -> Path:
    """Write the texts of docs, over and over, a line for each."""
    with path.open("w", encoding="utf8") as file:
        for line in lines(docs, number):
            print(line, file=file)
    return path


def lines(docs: list[Doc], number: int) -> Iterator[str]:
    """Give so many texts, each with a word of its own."""
    for i, doc in enumerate(islice(cycle(docs), number)):
        yield " ".join([*doc.text.split(), f"No{i}"])


def annotated(model: Path, texts: Path, n_process: int) -> Summary:
    """Annotate texts from scratch."""
    with TemporaryDirectory() as folder:
        output = Path(folder) / "out.jsonl"
        return annotate(str(model), texts, output, n_process=n_process, threads=1, silent=True)


def main(model: str, texts: str) -> None:
    """Be the process that is measured."""
    annotated(Path(model), Path(texts), PROCESSES)
    print(json.dumps([peak_mib(), children_peak_mib()]))


if __name__ == "__main__":
    main(*sys.argv[1:])
