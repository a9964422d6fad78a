"""The input cut into pieces of work, the same each time: what is done is told by their numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import Errors
from .inputs import Failure, Input, Text

#: Of a chunk, so that one of long documents fits into memory, too.
MAX_CHARS = 2_000_000


class Chunk(NamedTuple):
    """A piece of work: some records that follow each other."""

    number: int
    records: list[Text | Failure]

    def places(self) -> str:
        """Say where the records are from."""
        first, last = (
            record.file if record.line is None else f"{record.file}, line {record.line}"
            for record in (self.records[0], self.records[-1])
        )
        return f"{first} to {last}"


class ProcessDied(ValueError):
    """A process died while it annotated a chunk."""

    def __init__(self, how: str, chunk: Chunk) -> None:
        super().__init__(Errors.D415.format(how=how, where=chunk.places()))
        self.how = how
        self.number = chunk.number


@dataclass(frozen=True)
class Chunks:
    """The chunks of an input that are not done yet. It can be iterated again, and pickled.

    size (int): The records of a chunk; the last has fewer, and so has one of long documents.
    done (frozenset[int]): The numbers of the chunks to leave out.
    """

    input: Input
    size: int
    done: frozenset[int] = frozenset()

    def __iter__(self) -> Iterator[Chunk]:
        for number, records in enumerate(self._cut()):
            if number not in self.done:
                yield Chunk(number, records)

    def _cut(self) -> Iterator[list[Text | Failure]]:
        records: list[Text | Failure] = []
        chars = 0
        for record in self.input:
            records.append(record)
            chars += len(record.text or "")
            if len(records) == self.size or chars >= MAX_CHARS:
                yield records
                records, chars = [], 0
        if records:
            yield records
