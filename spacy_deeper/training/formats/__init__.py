"""Annotation formats: parsers, which make records of a file, and writers, which take docs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from spacy.language import Language
from spacy.tokens import Doc

from ..records import Options, Record, make_doc
from ..report import Report
from . import (
    ade,
    brat,
    docbin,
    doccano,
    dygie,
    labelstudio,
    markup,
    multihead,
    prodigy,
    spert,
    triples,
)
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


def _is_prodigy(first: Any) -> bool:
    keys = {"answer", "spans", "tokens", "_task_hash"}
    return "text" in first and "entities" not in first and not keys.isdisjoint(first)


def _is_multihead(first: Any) -> bool:
    return multihead.DOC.match(first) is not None


def _is_ade(first: Any) -> bool:
    return first.count("|") == ade.FIELDS - 1


FORMATS: dict[str, Format] = {
    "spert": Format(spert.parse, JSON, _has("tokens", "entities")),
    "multihead": Format(multihead.parse, (".txt",), _is_multihead),
    "ade": Format(ade.parse, (".rel",), _is_ade),
    "dygie": Format(dygie.parse, JSON, _has("sentences")),
    "brat": Format(brat.parse, (brat.SUFFIX,)),
    "prodigy": Format(prodigy.parse, JSON, _is_prodigy),
    "labelstudio": Format(labelstudio.parse, JSON, _has("data")),
    "doccano": Format(doccano.parse, JSON, _has("text", "entities")),
    "markup": Format(
        markup.parse, (".txt",), lambda first: not (_is_multihead(first) or _is_ade(first))
    ),
    "spacy": Binary(lambda source, report: iter(()), (".spacy",)),
}


class Writer(NamedTuple):
    """A way to write docs: to a file with one of these suffixes or, without any, to a folder."""

    write: Callable[[Iterator[Doc], Path, Report], None]
    suffixes: tuple[str, ...]


WRITERS: dict[str, Writer] = {
    "spacy": Writer(docbin.write, (".spacy",)),
    "spert": Writer(spert.write, (".jsonl",)),
    "brat": Writer(brat.write, ()),
    "triples": Writer(triples.write, (".csv", ".jsonl")),
}
