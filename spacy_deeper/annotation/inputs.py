"""Input files, read record by record: what can't be read is a record too, with the reason why."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import Errors
from ..files import visible_files
from .plain import escaped, is_unicode, plain

BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
#: Characters. A line or a CSV field is held in memory: what is longer is a file of another kind.
MAX_LENGTH = 2**26
#: Rows of a Parquet file that are decoded at once.
ROWS = 256
#: What pyarrow raises for a value that it can't make Python's of; its own are some of these, too.
UNREADABLE = (ValueError, OverflowError, NotImplementedError, KeyError)


class Text(NamedTuple):
    """A document to annotate.

    number (int): Its place among all records of the input, from 0.
    id (int | str): Its id, or the number if it has none.
    text (str): Neither empty nor white space alone.
    meta (dict[str, Any]): The other fields of its record, plain data.
    file (str): Where it is from.
    line (int | None): There, from 1; in a Parquet file the row. None if the file is the text.
    """

    number: int
    id: int | str
    text: str
    meta: dict[str, Any]
    file: str
    line: int | None

    def failed(self, reason: str) -> "Failure":
        """Make the record of a failure to annotate this document."""
        return Failure(self.number, self.id, self.file, self.line, reason, self.text, None)


class Failure(NamedTuple):
    """A record without annotations: that of a `Text`, or one that there is no `Text` in.

    Its fields are those of the failures file. `raw` is what was read, where it has no text.
    """

    number: int
    id: int | str | None
    file: str
    line: int | None
    reason: str
    text: str | None
    raw: Any


class Columns(NamedTuple):
    """Names of the fields of a record; without `id`, the field 'id' is the id if it is there."""

    text: str = "text"
    id: str | None = None


class Row(NamedTuple):
    """What stands at one place of a file: a text or, of a table, a mapping; or a problem."""

    line: int | None
    value: Any
    problem: str | None = None


class Bad(Exception):
    """A record has no text to annotate; its message is the reason."""


@dataclass(frozen=True)
class Format:
    """A format of input files.

    suffixes (tuple[str, ...]): Of its files.
    rows (Callable): Reads a file row by row.
    fields (Callable | None): Makes the fields of a row's value; None if the value is the text.
    count (Callable | None): Counts the rows of a file faster than by reading them, and complains
        of what reading them would end with.
    """

    suffixes: tuple[str, ...]
    rows: Callable[[Path, Columns], Iterator[Row]]
    fields: Callable[[Any], dict[str, Any]] | None = None
    count: Callable[[Path, Columns], int] | None = None


@dataclass(frozen=True)
class Input:
    """The files of one format that are the input, in order."""

    path: Path
    files: tuple[Path, ...]
    format: str
    columns: Columns

    def __iter__(self) -> Iterator[Text | Failure]:
        """Read all records. Each has its text, or the reason why it has none."""
        index = 0
        for path in self.files:
            for row in self._rows(path):
                yield self._record(index, path, row)
                index += 1

    def count(self) -> int:
        """Count the records, also those without a text, as a bar needs to know its end."""
        count = FORMATS[self.format].count
        if count is not None:
            return sum(count(path, self.columns) for path in self.files)
        return sum(1 for path in self.files for _ in self._rows(path))

    def identity(self) -> list[list[Any]]:
        """Return plain data that is another one when the files are others, or were changed."""
        stats = [(path, path.stat()) for path in self.files]
        return [[self._name(path), stat.st_size, stat.st_mtime_ns] for path, stat in stats]

    def _name(self, path: Path) -> str:
        """Name a file, in valid Unicode."""
        return escaped(path.relative_to(self.path).as_posix() if path != self.path else path.name)

    def _rows(self, path: Path) -> Iterator[Row]:
        try:
            yield from FORMATS[self.format].rows(path, self.columns)
        except OSError as err:
            problem = err.strerror or str(err)
            raise ValueError(Errors.D128.format(path=path, problem=problem)) from None

    def _record(self, index: int, path: Path, row: Row) -> Text | Failure:
        fields: dict[str, Any] = {}
        id = None
        try:
            if row.problem is not None:
                raise Bad(row.problem)
            make_fields = FORMATS[self.format].fields
            if make_fields is None:
                text, id = row.value, self._name(path) if row.line is None else index
            else:
                fields = dict(make_fields(row.value))
                id = _pop_id(fields, self.columns, index)
                text = _pop_text(fields, self.columns)
            if not is_unicode(text):
                raise Bad("the text is not UTF-8: save it as UTF-8")
            if not text.strip():
                raise Bad("the text is empty")
            return Text(index, id, text, plain(fields), str(path), row.line)
        except Bad as err:
            reason = str(err)
        except RecursionError:
            reason = "nested too deeply"
        return Failure(index, id, str(path), row.line, reason, None, plain(row.value))


def find_input(path: Path, format: str | None, columns: Columns) -> Input:
    """Find the files to read.

    path (Path): A file, or a folder of files of one format, which are read in the order of their
        paths. A `.txt` file has a document on each line; those of a folder are a document each.
    format (str | None): A name in `FORMATS`; by default that of the suffix.
    RAISES (ValueError): If there is no such file, or none of a known format.
    """
    found = _find_files(path, format, columns)
    if FORMATS[found.format].fields is None and columns != Columns():
        option = "--id-column" if columns.text == Columns().text else "--text-column"
        raise ValueError(Errors.D430.format(option=option, where="for .txt files"))
    return found


def _find_files(path: Path, format: str | None, columns: Columns) -> Input:
    if format is not None and format not in FORMATS:
        raise ValueError(Errors.D101.format(name=format, known=", ".join(FORMATS)))
    if path.is_file():
        by_suffix = (
            name for name, known in FORMATS.items() if path.suffix.lower() in known.suffixes
        )
        format = format or next(by_suffix, None)
        if format is None:
            raise ValueError(Errors.D400.format(path=path, known=", ".join(FORMATS)))
        return Input(path, (path,), format, columns)
    if not path.is_dir():
        raise ValueError(Errors.D401.format(path=path))
    names = [format] if format else [name for name in FORMATS if name != "lines"]
    visible = visible_files(path)
    found = {
        name: files
        for name in names
        if (files := [at for at in visible if at.suffix.lower() in FORMATS[name].suffixes])
    }
    if len(found) != 1:
        what = " and ".join(found) or "none"
        raise ValueError(Errors.D402.format(path=path, found=what, known=", ".join(FORMATS)))
    ((format, files),) = found.items()
    return Input(path, tuple(files), format, columns)


def _pop_id(fields: dict[str, Any], columns: Columns, index: int) -> int | str:
    """Take the id out of the fields: an integer or a text, whatever it is there."""
    name = "id" if columns.id is None else columns.id
    value = fields.pop(name, None)
    if isinstance(value, dict | list):
        raise Bad(f"the id, '{name}', is no text or number")
    value = plain(value)
    if value is None or value == "":
        if columns.id is not None:
            raise Bad(f"there is no id '{name}'")
        return index
    return value if type(value) is int else str(value)


def _pop_text(fields: dict[str, Any], columns: Columns) -> str:
    if columns.text not in fields:
        known = ", ".join(map(str, fields))
        raise Bad(f"there is no '{columns.text}' to annotate, only: {known}")
    text = fields.pop(columns.text)
    if text is None:
        raise Bad(f"'{columns.text}' is null")
    if not isinstance(text, str):
        raise Bad(f"'{columns.text}' is no text, but of type {type(text).__name__}")
    return text


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Read the lines of a file, with their ends; bytes that are no UTF-8 become surrogates."""
    # Only \n ends a line: a text may have other separators within.
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        number = 1
        while line := file.readline(MAX_LENGTH + 1):
            if len(line) > MAX_LENGTH:
                at = f"{path}, line {number}"
                raise ValueError(Errors.D429.format(where=at, limit=MAX_LENGTH))
            yield number, line.removeprefix(BOM) if number == 1 else line
            number += 1


def _read_lines(path: Path, columns: Columns) -> Iterator[Row]:
    for number, line in _lines(path):
        yield Row(number, line.removesuffix("\n").removesuffix("\r"))


def _read_file(path: Path, columns: Columns) -> Iterator[Row]:
    size = path.stat().st_size
    if size > MAX_LENGTH:
        yield Row(None, None, f"the file has {size} bytes, more than {MAX_LENGTH}: split it")
        return
    yield Row(None, path.read_bytes().decode("utf-8", "surrogateescape").removeprefix(BOM))


def _read_json_lines(path: Path, columns: Columns) -> Iterator[Row]:
    for number, line in _lines(path):
        if line.strip():
            yield Row(number, line.removesuffix("\n").removesuffix("\r"))


def _json_fields(line: str) -> dict[str, Any]:
    if not is_unicode(line):
        raise Bad("the line is not UTF-8: save it as UTF-8")
    try:
        record = json.loads(line)
    except ValueError as err:
        raise Bad(f"broken JSON: {err}") from None
    if not isinstance(record, dict):
        raise Bad("the line is no JSON object with a text")
    return record


class CsvLines:
    """The lines of a file, from which a reader of CSV may take too many for one row."""

    def __init__(self, path: Path) -> None:
        self._lines = (line for _, line in _lines(path))
        self._returned: list[str] = []
        self.first = 1  # number of the row's first line
        self.taken: list[str] = []

    def __iter__(self) -> "CsvLines":
        return self

    def __next__(self) -> str:
        line = self._returned.pop() if self._returned else next(self._lines)
        self.taken.append(line)
        return line

    def next_row(self) -> None:
        """Begin a row."""
        self.first += len(self.taken)
        self.taken = []

    def give_back(self) -> None:
        """Give back the row's lines but for the first."""
        self._returned.extend(reversed(self.taken[1:]))
        del self.taken[1:]


def _read_csv(path: Path, columns: Columns) -> Iterator[Row]:
    """Read a table with a header; that of a `.tsv` file has tabs between its fields."""
    csv.field_size_limit(MAX_LENGTH)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    lines = CsvLines(path)

    def reader() -> Any:
        # Strict: otherwise a quote that is not closed would make one text of all that follow.
        return csv.reader(lines, delimiter=delimiter, strict=True)

    rows = reader()
    try:
        header: list[str] = next(rows, [])
    except csv.Error as err:
        raise ValueError(Errors.D403.format(path=path, problem=err)) from None
    _check_columns(path, header, columns)
    while True:
        lines.next_row()
        try:
            values = next(rows, None)
        except csv.Error as err:
            if str(err).startswith(("unexpected end", "field larger")):
                lines.give_back()  # a quote that is never closed has taken all that follow
                rows = reader()
            row = "".join(lines.taken).rstrip("\r\n")
            yield Row(lines.first, row, f"broken CSV: {err}")
            continue
        if values is None:
            return
        if len(values) == len(header):
            yield Row(lines.first, dict(zip(header, values, strict=True)))
        elif values:  # and not a blank line
            problem = f"{len(values)} fields, where the header has {len(header)}"
            yield Row(lines.first, values, problem)


def _read_parquet(path: Path, columns: Columns) -> Iterator[Row]:
    with _parquet_file(path) as file:
        _check_columns(path, file.schema_arrow.names, columns)
        number = 0
        for batch in file.iter_batches(ROWS):
            names, columns_ = batch.schema.names, [_values(column) for column in batch]
            for values in zip(*columns_, strict=True):
                number += 1
                row = dict(zip(names, values, strict=True))
                bad = [name for name, value in row.items() if isinstance(value, Exception)]
                problem = f"'{bad[0]}' can't be read: {row[bad[0]]}" if bad else None
                yield Row(number, row, problem)


def _values(column: Any) -> list[Any]:
    """Return the values of a column; as text, or a number, what Python has no type for."""
    import pyarrow as pa

    for to in (None, pa.string(), pa.int64()):
        with suppress(*UNREADABLE):
            values: list[Any] = (column if to is None else column.cast(to)).to_pylist()
            return values
    return [_value(cell) for cell in column]


def _value(cell: Any) -> Any:
    """Return a value of a column in which some can't be read, or the exception that says why."""
    import pyarrow as pa

    try:
        if isinstance(cell, pa.StringScalar) and cell.is_valid:
            # Bytes that are no UTF-8 become surrogates, as in the other formats.
            return cell.as_buffer().to_pybytes().decode("utf-8", "surrogateescape")
        return cell.as_py()
    except UNREADABLE as err:
        return err


def _count_parquet(path: Path, columns: Columns) -> int:
    with _parquet_file(path) as file:
        _check_columns(path, file.schema_arrow.names, columns)
        return int(file.metadata.num_rows)


def _parquet_file(path: Path) -> Any:
    parquet = import_parquet()
    try:
        return parquet.ParquetFile(path)
    # What it raises for a file that is none, or is damaged, is one of its own.
    except (ValueError, OSError) as err:
        raise ValueError(Errors.D404.format(path=path, problem=err)) from None


def import_parquet() -> Any:
    """Import pyarrow's module for Parquet."""
    try:
        from pyarrow import parquet
    except ImportError as err:
        raise ValueError(Errors.D405.format(problem=err)) from None
    return parquet


def _check_columns(path: Path, header: list[str], columns: Columns) -> None:
    options = {"--text-column": columns.text, "--id-column": columns.id}
    for option, name in options.items():
        if name is not None and name not in header:
            known = escaped(", ".join(header))
            raise ValueError(Errors.D406.format(path=path, name=name, option=option, known=known))
    for name, count in Counter(header).items():
        if count > 1:
            raise ValueError(Errors.D428.format(path=path, name=escaped(name)))


FORMATS: dict[str, Format] = {
    "lines": Format((".txt",), _read_lines),
    "files": Format((".txt",), _read_file, count=lambda path, columns: 1),
    "jsonl": Format((".jsonl",), _read_json_lines, _json_fields),
    "csv": Format((".csv", ".tsv"), _read_csv, lambda row: row),
    "parquet": Format((".parquet",), _read_parquet, lambda row: row, _count_parquet),
}
