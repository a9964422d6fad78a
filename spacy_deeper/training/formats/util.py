"""What the readers share: text, lines and JSON, each with its place."""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import Errors
from ..report import Place

BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
# A line is held in memory: beyond this it is no annotation, but a file of another kind.
MAX_LINE = 2**26

Keys = dict[str, tuple[type, ...]]

JSON_NAMES = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal number",
    type(None): "null",
}


class Source(NamedTuple):
    """A file to read, and what to call it: standard input is read from a temporary file."""

    path: Path
    name: str

    @classmethod
    def of(cls, path: "Path | Source") -> "Source":
        return path if isinstance(path, Source) else cls(path, str(path))

    def __str__(self) -> str:
        return self.name

    @property
    def suffix(self) -> str:
        return self.path.suffix.lower()

    def bytes(self) -> bytes:
        if not self.path.is_file():
            raise ValueError(Errors.D100.format(path=self))
        try:
            return self.path.read_bytes()
        except OSError as err:
            raise ValueError(Errors.D128.format(path=self, problem=err.strerror)) from None

    def start(self, size: int = 4096) -> str:
        """Read the start of the text, without white space before it, whatever its encoding."""
        if not self.path.is_file():
            raise ValueError(Errors.D100.format(path=self))
        try:
            with self.path.open("rb") as file:
                return file.read(size).decode("utf-8", "replace").removeprefix(BOM).lstrip()
        except OSError as err:
            raise ValueError(Errors.D128.format(path=self, problem=err.strerror)) from None

    def text(self) -> str:
        """Read the text, with or without a byte order mark, with its line ends as they are."""
        return decode(self.bytes(), self).removeprefix(BOM)

    def lines(self) -> Iterator[tuple[int, str]]:
        """Read line by line, with their numbers and without their ends."""
        if not self.path.is_file():
            raise ValueError(Errors.D100.format(path=self))
        try:
            with self.path.open("rb") as file:
                for number in count(1):
                    line = file.readline(MAX_LINE + 1)
                    if not line:
                        return
                    at = self.at(f"line {number}")
                    if len(line) > MAX_LINE:
                        raise ValueError(Errors.D127.format(where=at, limit=MAX_LINE))
                    text = decode(line, at)
                    text = text.removeprefix(BOM) if number == 1 else text
                    yield number, text.removesuffix("\n").removesuffix("\r")
        except OSError as err:
            raise ValueError(Errors.D128.format(path=self, problem=err.strerror)) from None

    def at(self, place: str = "") -> Place:
        return Place(self.name, place)


def read_text(path: Path) -> str:
    """Read a UTF-8 file, with or without a byte order mark, with line ends made one."""
    return Source.of(path).text().replace("\r\n", "\n").replace("\r", "\n")


def decode(data: bytes, at: object) -> str:
    """Read bytes as UTF-8, or complain of the place they are from."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as err:
        raise ValueError(Errors.D103.format(path=at, problem=err)) from None


def parse_json(text: str, source: Source, first_line: int = 1) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as err:
        line, column, problem = first_line + err.lineno - 1, err.colno, err.msg
    except RecursionError:
        line, column, problem = first_line, 1, "nested too deeply"
    except ValueError as err:  # Python's limit to the digits of an integer
        line, column, problem = first_line, 1, str(err)
    raise ValueError(
        Errors.D110.format(path=source, line=line, column=column, problem=problem)
    ) from None


def json_lines(source: Source) -> Iterator[tuple[Place, Any]]:
    """Read the values of a file that has one on each line."""
    for number, line in source.lines():
        if line.strip():
            yield source.at(f"line {number}"), parse_json(line, source, number)


def json_list(source: Source) -> Iterator[tuple[Place, Any]]:
    """Read the items of a file that is one list: JSON as a whole can't be read piece by piece."""
    records = parse_json(source.text(), source)
    assert isinstance(records, list)  # as it begins with a bracket
    for index, record in enumerate(records):
        yield source.at(f"record {index}"), record


def holds_one_object(source: Source) -> bool:
    """Whether a file is one JSON object over several lines, as settings are, and no records."""
    text = source.start(2**20)
    return text.startswith("{") and not _is_json(text.split("\n", 1)[0]) and _is_json(text)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def json_records(source: Source) -> Iterator[tuple[Place, Any]]:
    """Read the records of a file that is one list, or else has one record on each line."""
    if holds_one_object(source):
        raise ValueError(Errors.D111.format(path=source))
    return json_list(source) if source.start().startswith("[") else json_lines(source)


def check_keys(
    value: Any, required: Keys, at: Place, optional: Keys | None = None, others: bool = True
) -> None:
    """Check that a JSON value is an object that has these keys, and values of these types.

    optional: Keys that may be missing.
    others (bool): Whether there may be other keys, with any values.
    """
    keys = {**required, **(optional or {})}
    known = ", ".join(keys)
    if not isinstance(value, dict):
        found = JSON_NAMES[type(value)]
        raise ValueError(Errors.D112.format(where=at, keys=known, found=found))
    for key in () if others else value:
        if key not in keys:
            raise ValueError(Errors.D114.format(where=at, key=key, keys=known))
    for key in required:
        if key not in value:
            raise ValueError(Errors.D113.format(where=at, key=key, keys=known))
    for key, kinds in keys.items():
        # Not isinstance: a bool is an int to Python, and is none to us.
        if key in value and type(value[key]) not in kinds:
            expected = " or ".join(JSON_NAMES[kind] for kind in kinds)
            found = JSON_NAMES[type(value[key])]
            raise ValueError(Errors.D115.format(where=at, key=key, expected=expected, found=found))
