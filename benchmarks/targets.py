"""What the figures should be at least, or at most."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .report import Table, cell


@dataclass
class Target:
    """A bound for a cell in the tables of a benchmark.

    table: How their titles begin.
    row: What the row begins with.
    """

    what: str
    benchmark: str
    table: str
    row: Any
    column: str
    sign: Literal["≥", "≤"]
    bound: float

    def rows(self, tables: Sequence[Table]) -> Iterator[list[Any]]:
        """Give a row for each table that has the figure; saved ones may be older."""
        for table in tables:
            if self.column not in table.columns:
                continue
            for row in table.rows:
                if table.title.startswith(self.table) and row[0] == self.row:
                    value = row[table.columns.index(self.column)]
                    met = value >= self.bound if self.sign == "≥" else value <= self.bound
                    goal = f"{self.sign} {cell(self.bound)}"
                    yield [self.what, table.title, goal, value, "yes" if met else "no"]


TARGETS = (
    Target(
        "the pipeline's words per second, by those of its bare encoder",
        "inference",
        "Inference",
        "as they are",
        "ours / encoder",
        "≥",
        0.7,
    ),
    Target(
        "the same of `relations annotate` with two processes, by the encoder's on two threads",
        "annotate",
        "Annotating with processes",
        2,
        "ours / encoder",
        "≥",
        0.7,
    ),
    Target(
        "words per second without an encoder, on two threads",
        "inference",
        "Inference, 2 thread",
        "as they are",
        "ours, no encoder",
        "≥",
        10_000,
    ),
    Target(
        "the int8 pipeline's words per second, by those of the bare fp32 encoder",
        "quantized",
        "Lower precision",
        "pipeline, int8",
        "times the encoder alone",
        "≥",
        2,
    ),
    Target(
        "points of F1 that 8 bits cost: entities",
        "quantized",
        "What lower precision costs",
        "int8",
        "entities, lost",
        "≤",
        0.5,
    ),
    Target(
        "points of F1 that 8 bits cost: relations",
        "quantized",
        "What lower precision costs",
        "int8",
        "relations, lost",
        "≤",
        0.5,
    ),
    Target(
        "seconds of a training epoch, by those of plain PyTorch",
        "training",
        "Training on a frozen encoder",
        8,
        "seconds, ours / plain",
        "≤",
        1.3,
    ),
    Target(
        "a cached epoch of training, times as fast as one that is not: MiniLM",
        "cache",
        "The cache",
        "training",
        "times",
        "≥",
        5,
    ),
    Target(
        "a cached epoch of training, times as fast as one that is not: an encoder of BERT's size",
        "cache",
        "The cache",
        "training, encoder of BERT's size",
        "times",
        "≥",
        5,
    ),
    Target(
        "milliseconds of the relation head, 200 entities",
        "relation-head",
        "Relations by entities",
        200,
        "head, ms",
        "≤",
        50,
    ),
    Target(
        "MiB of the relation head, 200 entities",
        "memory",
        "Memory by entities",
        200,
        "head, MiB",
        "≤",
        100,
    ),
    Target(
        "words per second of two processes that annotate, by those of one",
        "annotate",
        "Annotating with processes",
        2,
        "times one process",
        "≥",
        1.6,
    ),
)


def compared(results: Mapping[str, Sequence[Table]]) -> Table:
    """Return the targets beside the figures, as far as there are any."""
    rows = [row for target in TARGETS for row in target.rows(results.get(target.benchmark, ()))]
    return Table("Targets", ["what", "where", "goal", "measured", "met"], rows)
