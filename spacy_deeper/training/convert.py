"""Annotation files to spaCy's binary training data, and back."""

import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import spacy
from spacy.tokens import Doc
from tqdm import tqdm

from ..errors import Errors
from ..relations import get_relations
from .formats import FORMATS, JSON, WRITERS
from .formats.guess import check_name, find_files, guess
from .formats.util import Source, holds_one_object
from .records import Options, all_entities
from .report import Report

STDIN = Path("-")


class Converted(NamedTuple):
    """Where the docs went, how many they are, the counts of their labels, and what was lost."""

    path: Path
    docs: int
    ents: Counter[str]
    relations: Counter[str]
    report: Report


def convert(
    input: Path,
    output: Path,
    format: str | None = None,
    lang: str = "en",
    *,
    to: str | None = None,
    options: Options | None = None,
    strict: bool = False,
    report_path: Path | None = None,
    silent: bool = True,
) -> Converted:
    """Convert annotation files, all of them or nothing.

    Documents are read and made one by one. What is held of them is spaCy's `DocBin`, arrays of
    numbers, for `.spacy` files; and a file that is one JSON list is parsed as a whole.

    input (Path): The annotation file, a folder of them, or "-" for standard input.
    output (Path): The file to write (for brat a folder), or an existing folder to write
        `<input's stem>.spacy` into.
    format (Optional[str]): A name in `FORMATS`; guessed from the input if not given.
    lang (str): The language whose tokenizer to use where the format has no tokens.
    to (Optional[str]): A name in `WRITERS`; guessed from the output if not given.
    options (Optional[Options]): What to do with annotations that don't fit into a doc.
    strict (bool): Let any annotation that was repaired or dropped be an error.
    report_path (Optional[Path]): Where to write all entries of the report, as JSON lines.
    silent (bool): Show no progress. It is never shown where there is no terminal.
    RETURNS (Converted): The path written, what is in it, and the report.
    """
    with _sources(input, format) as (sources, format):
        to = _guess_writer(output, to)
        write, suffixes = WRITERS[to]
        if suffixes and output.is_dir():
            stem = "stdin" if input == STDIN else input.resolve().stem
            output = output / f"{stem}{suffixes[0]}"
        if suffixes and output.suffix not in suffixes:
            known = " or ".join(suffixes)
            raise ValueError(Errors.D105.format(path=output, known=known))
        try:
            nlp = spacy.blank(lang)
        except ImportError as err:
            raise ValueError(Errors.D107.format(lang=lang, problem=err)) from None
        report = Report()
        for source in sources[:]:
            if input.is_dir() and source.suffix in JSON and holds_one_object(source):
                sources.remove(source)
                report.ignored(source.at(), "files", source.name, "one JSON object, no records")
        ents: Counter[str] = Counter()
        relations: Counter[str] = Counter()

        def read() -> Iterator[Doc]:
            for source in sources:
                yield from FORMATS[format].read(source, nlp, options, report)

        def count(docs: Iterator[Doc]) -> Iterator[Doc]:
            for doc in tqdm(docs, unit=" docs", disable=silent or None):
                ents.update(ent.label_ for ent in all_entities(doc))
                relations.update(relation.label for relation in get_relations(doc))
                yield doc

        with replacing(output) as temp:
            write(count(read()), temp, report)
            if not report.written["documents"]:
                raise ValueError(Errors.D104.format(path="stdin" if input == STDIN else input))
            if report_path is not None:
                write_report(report, report_path)
            if strict and (losses := report.real_losses()):
                first = f"{losses[0].item!r} ({losses[0].reason}; {losses[0].at})"
                raise ValueError(Errors.D129.format(count=len(losses), first=first))
    return Converted(output, report.written["documents"], ents, relations, report)


def write_report(report: Report, path: Path) -> None:
    """Write the entries of a report as JSON lines."""
    lines = (json.dumps(loss._asdict(), ensure_ascii=False) + "\n" for loss in report.losses)
    # What JSON escapes in the input, and UTF-8 has not, is escaped again.
    write_atomically(path, "".join(lines).encode("utf-8", "backslashreplace"))


@contextmanager
def _sources(input: Path, format: str | None) -> Iterator[tuple[list[Source], str]]:
    """Find the files to read, and their format."""
    if format is not None:
        check_name(format)
    if input == STDIN:
        with tempfile.TemporaryDirectory() as folder:
            source = Source(Path(folder) / "stdin", "stdin")
            with source.path.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
            yield [source], format or guess(source)
    elif input.is_dir():
        yield find_files(input, format)
    else:
        source = Source.of(input)
        yield [source], format or guess(source)


def _guess_writer(output: Path, to: str | None) -> str:
    if to is None:
        fitting = [name for name, writer in WRITERS.items() if output.suffix in writer.suffixes]
        if len(fitting) > 1:
            known = ", ".join(fitting)
            raise ValueError(Errors.D155.format(path=output, known=known))
        return fitting[0] if fitting else "spacy"
    if to not in WRITERS:
        raise ValueError(Errors.D101.format(name=to, known=", ".join(WRITERS)))
    return to


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it holds, at any time, either its old content or all of its new one.

    A link stays one, and what is no ordinary file (/dev/stdout) is written to as it is.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        try:
            path.write_bytes(data)
        except OSError as err:
            raise ValueError(Errors.D106.format(path=path, problem=err.strerror)) from None
        return
    with replacing(path) as temp:
        temp.write_bytes(data)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write a file or a folder to, which replaces another one when it is complete.

    A folder must not exist yet, or be empty. If anything fails, nothing is left.
    """
    # In the same folder: only within one file system is the replacement atomic.
    temp = path.with_name(f".tmp{os.getpid()}.{path.name}")
    made = [parent for parent in path.parents if not parent.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temp
        os.replace(temp, path)
        made = []
    except OSError as err:
        raise ValueError(Errors.D106.format(path=path, problem=err.strerror)) from None
    finally:
        # The parent may be a file.
        if temp.is_dir():
            shutil.rmtree(temp)
        elif temp.exists():
            temp.unlink()
        for parent in made:
            with suppress(OSError):
                parent.rmdir()
