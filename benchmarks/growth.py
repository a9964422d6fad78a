"""How time grows with the number of documents and with their length."""

from typing import Any

from spacy.language import Language

from .data import texts_of
from .report import Table
from .setup import Setup
from .timing import exponent, threads

DOCUMENTS = (25, 50, 100, 200)
LENGTHS = (250, 500, 1_000, 2_000, 4_000)
NOTE = """Seconds of `nlp.pipe`, of documents of 25 tokens, and of one document of a length. An
exponent of 1 is linear growth; below, a part of the time is the same for all."""


def run(setup: Setup) -> list[Table]:
    """Measure both, with a frozen encoder and without one. For entities see `relation_head`."""
    documents = DOCUMENTS[:2] if setup.quick else DOCUMENTS
    lengths = LENGTHS[:2] if setup.quick else LENGTHS
    series = {
        "documents": [(n, texts_of(setup.docs, 25, 25 * n)) for n in documents],
        "tokens of a document": [(n, texts_of(setup.docs, n, n)) for n in lengths],
    }
    tables = []
    for number in setup.threads:
        for name, sizes in series.items():
            with threads(number):
                rows = [measure(setup, n, texts) for n, texts in sizes]
            numbers = [row[0] for row in rows]
            fits = [exponent(numbers, [row[column] for row in rows]) for column in (1, 2)]
            tables.append(
                Table(
                    title=f"Growth with {name}, {number} thread(s)",
                    columns=[name, "frozen encoder, s", "no encoder, s"],
                    rows=[*rows, ["exponent", *fits]],
                    note=NOTE,
                )
            )
    return tables


def measure(setup: Setup, size: int, texts: list[str]) -> list[Any]:
    """Return a row of the table."""

    def seconds_of(nlp: Language) -> float:
        return setup.timer.compare({"": lambda: list(nlp.pipe(texts))})[""]

    return [size, seconds_of(setup.frozen), seconds_of(setup.bare)]
