"""Annotation formats: each reader turns a file into docs with entities and relations."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from spacy.language import Language
from spacy.tokens import Doc

from ...errors import Errors
from . import markup, spert


class Format(NamedTuple):
    """A reader, and the file suffixes that it is guessed from."""

    read: Callable[[Path, Language], Iterator[Doc]]
    suffixes: tuple[str, ...]


FORMATS = {
    "spert": Format(spert.read, (".json", ".jsonl")),
    "markup": Format(markup.read, (".txt",)),
}


def get_format(path: Path, name: str | None = None) -> Format:
    """Find a format by its name, or by the suffix of the file if that suits one format only."""
    known = ", ".join(FORMATS)
    if name is not None:
        if name not in FORMATS:
            raise ValueError(Errors.D101.format(name=name, known=known))
        return FORMATS[name]
    fitting = [fmt for fmt in FORMATS.values() if path.suffix.lower() in fmt.suffixes]
    if len(fitting) != 1:
        raise ValueError(Errors.D102.format(path=path, known=known))
    return fitting[0]
