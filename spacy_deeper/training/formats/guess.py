"""Which format a file has, as far as its name and its first record tell."""

import json
import re
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from ...errors import Errors
from ...files import visible_files
from . import FORMATS, JSON
from .util import Source, holds_one_object, json_records


def check_name(name: str) -> str:
    """Check that there is a format of this name."""
    if name not in FORMATS:
        raise ValueError(Errors.D101.format(name=name, known=", ".join(FORMATS)))
    return name


def guess(source: Source) -> str:
    """Return the name of the format, if only one fits."""
    start = source.start()
    suffixes = [source.suffix]
    if not source.suffix:  # standard input
        suffixes = list(JSON) if re.match(r"\{|\[\s*\{", start) else [".txt", ".rel"]
    candidates = [n for n, f in FORMATS.items() if not {*suffixes}.isdisjoint(f.suffixes)]
    if source.suffix == ".txt" and source.path.with_suffix(".ann").is_file():
        return "brat"
    if not candidates:
        raise ValueError(Errors.D102.format(path=source, known=", ".join(FORMATS)))
    first = _first_record(source) if suffixes[0] in JSON else start.split("\n", 1)[0]
    if suffixes[0] in JSON and not isinstance(first, dict):
        return candidates[0]  # whose reader says what is wrong
    if len(candidates) == 1:
        return candidates[0]
    fitting = [name for name in candidates if FORMATS[name].fits(first)]
    if len(fitting) != 1:
        known = ", ".join(fitting or candidates)
        raise ValueError(Errors.D102.format(path=source, known=known))
    return fitting[0]


def find_files(folder: Path, name: str | None) -> tuple[list[Source], str]:
    """Find the files of a format in a folder and all folders in it, sorted by their paths.

    If the format is not named, it is guessed, and must be the same for all files.
    """
    paths = visible_files(folder)
    if name is not None:
        suffixes = FORMATS[check_name(name)].suffixes
        sources = [Source.of(path) for path in paths if path.suffix.lower() in suffixes]
    else:
        known = {suffix for fmt in FORMATS.values() for suffix in fmt.suffixes}
        sources = [Source.of(path) for path in paths if path.suffix.lower() in known]
        brat = any(source.suffix == ".ann" for source in sources)
        found = set()
        for source in sources:
            # Beside the data may be settings in JSON, such as SpERT's types, and brat's texts.
            if (source.suffix in JSON and holds_one_object(source)) or (
                brat and source.suffix == ".txt"
            ):
                continue
            with suppress(ValueError) if brat else nullcontext():
                found.add(guess(source))
        names = sorted(found)
        if len(names) > 1:
            raise ValueError(Errors.D102.format(path=folder, known=", ".join(names)))
        name = names[0] if names else None
        sources = [source for source in sources if name and source.suffix in FORMATS[name].suffixes]
    if name is None or not sources:
        raise ValueError(Errors.D104.format(path=folder))
    return sources, name


def _first_record(source: Source) -> Any:
    # A list is one JSON value: to see its first item, try to do with the start of the file.
    start = source.start(2**16)
    if start.startswith("[") and "\N{REPLACEMENT CHARACTER}" not in start:
        with suppress(ValueError, RecursionError):
            return json.JSONDecoder().raw_decode(start[1:].lstrip())[0]
    records: Iterator[Any] = (record for _, record in json_records(source))
    return next(records, None)
