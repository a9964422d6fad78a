"""`relations annotate`: what a second process gains, and how memory grows with the documents.

    python -m benchmarks.annotate MODEL TEXTS

is a run in a process of its own: it prints the most MiB that it and a worker of it had.
"""

import json
import sys
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
DOCUMENTS = 2_000
SPEED = """A thread for each process; always by the wall clock, and with the loading of the model.
It takes a machine with two free cores: otherwise it measures what else runs there. `encoder alone`
is the forward pass of the frozen encoder over the documents, sorted by length, in one process with
as many threads."""
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
    words = 0

    def once(n_process: int) -> None:
        nonlocal words
        words = annotated(model, texts, n_process).words

    with threads(1):
        functions = {str(n): partial(once, n) for n in (1, PROCESSES)}
        seconds = Timer(setup.timer.repeats, warm_up=0).compare(functions)
    rows = []
    for n, s in seconds.items():
        ours, encoder = words / s, encoder_speed(setup, int(n))
        rows.append([int(n), number, words, s, ours, seconds["1"] / s, encoder, ours / encoder])
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


def encoder_speed(setup: Setup, n_threads: int) -> float:
    """Return the words per second of the encoder alone."""
    texts = sorted((doc.text for doc in setup.docs), key=len)
    n_words = sum(len(setup.frozen.make_doc(text)) for text in texts)
    with threads(n_threads):
        seconds = Timer(setup.timer.repeats + 2).compare(
            {"encoder": bare_encoder(setup.frozen, texts)}
        )
    return n_words / seconds["encoder"]


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
        for i, doc in enumerate(islice(cycle(docs), number)):
            print(*doc.text.split(), f"No{i}", file=file)
    return path


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
