"""Annotation formats: parsers, which make records of a file, and writers, which take docs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from ..records import Options, Record, make_doc
from ..report import Report
from . import docbin, markup, spert
from .util import Source

JSON = (".json", ".jsonl")


@dataclass(frozen=True)
class Format:
    """An annotation format that can be read.

    parse (Callable): Makes the records of a file.
    suffixes (Tuple[str, ...]): Of its files.
    fits (Callable): Whether a file of such a suffix is of this format, by the first record, if it
        is JSON, or else the first line that is not empty.
    """

    parse: Callable[[Source, Report], Iterator[Record]]
    suffixes: tuple[str, ...]
    fits: Callable[[Any], bool] = lambda first: True

    def read(
        self,
        path: Path | Source,
        nlp: Language,
        options: Options | None = None,
        report: Report | None = None,
    ) -> Iterator[Doc]:
        """Read the docs of a file one by one.

        path (Path): The file.
        nlp (Language): Its vocab, and its tokenizer where the format has no tokens.
        options (Optional[Options]): What to do with annotations that do not fit into a doc.
        report (Optional[Report]): Is told of all that was repaired, dropped or ignored.
        YIELDS (Doc): The docs, with entities and relations.
        """
        options, report = options or Options(), report or Report()
        for record in self.parse(Source.of(path), report):
            doc = make_doc(record, nlp, options, report)
            if doc is not None:
                yield doc


@dataclass(frozen=True)
class Binary(Format):
    """spaCy's own format, which holds docs."""

    def read(
        self,
        path: Path | Source,
        nlp: Language,
        options: Options | None = None,
        report: Report | None = None,
    ) -> Iterator[Doc]:
        return docbin.read(Source.of(path), nlp, report or Report())


def _has(*keys: str) -> Callable[[Any], bool]:
    return lambda first: isinstance(first, dict) and all(key in first for key in keys)


FORMATS: dict[str, Format] = {
    "spert": Format(spert.parse, JSON, _has("tokens", "entities")),
    "markup": Format(markup.parse, (".txt",)),
    "spacy": Binary(lambda source, report: iter(()), (".spacy",)),
}

WRITERS: dict[str, Callable[[Iterator[Doc], Path, Report], None]] = {
    "spacy": docbin.write,
    "spert": spert.write,
}
