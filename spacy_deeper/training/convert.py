"""Annotation files to spaCy's binary training data."""

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import spacy
from spacy.tokens import DocBin
from tqdm import tqdm

from ..errors import Errors
from ..relations import get_relations
from .formats import get_format


class Converted(NamedTuple):
    """Where the docs went, how many they are, and the counts of their labels."""

    path: Path
    docs: int
    ents: Counter[str]
    relations: Counter[str]


def convert(
    input: Path,
    output: Path,
    format: str | None = None,
    lang: str = "en",
    *,
    silent: bool = True,
) -> Converted:
    """Convert an annotation file to a `.spacy` file, all of it or nothing.

    input (Path): The annotation file.
    output (Path): The `.spacy` file, or an existing folder to write `<input's stem>.spacy` into.
    format (Optional[str]): A name in `FORMATS`; guessed from the input's suffix if not given.
    lang (str): The language whose tokenizer to use where the format has no tokens.
    silent (bool): Show no progress. It is never shown where there is no terminal.
    RETURNS (Converted): The path written, and what is in it.
    """
    if output.is_dir():
        output = output / f"{input.stem}.spacy"
    if output.suffix != ".spacy":
        raise ValueError(Errors.D105.format(path=output))
    reader = get_format(input, format)
    try:
        nlp = spacy.blank(lang)
    except ImportError as err:
        raise ValueError(Errors.D107.format(lang=lang, problem=err)) from None
    doc_bin = DocBin(store_user_data=True)
    ents: Counter[str] = Counter()
    relations: Counter[str] = Counter()
    for doc in tqdm(reader.read(input, nlp), unit=" docs", disable=silent or None):
        doc_bin.add(doc)
        ents.update(ent.label_ for ent in doc.ents)
        relations.update(relation.label for relation in get_relations(doc))
    if not len(doc_bin):
        raise ValueError(Errors.D104.format(path=input))
    write_atomically(output, doc_bin.to_bytes())
    return Converted(output, len(doc_bin), ents, relations)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it holds, at any time, either its old content or all of its new one.

    A link stays one, and what is no ordinary file (/dev/stdout) is written to as it is.
    """
    path = path.resolve()
    special = path.exists() and not path.is_file()
    # In the same folder: only within one file system is the replacement atomic.
    temp = path if special else path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temp.write_bytes(data)
        if not special:
            os.replace(temp, path)
    except OSError as err:
        raise ValueError(Errors.D106.format(path=path, problem=err.strerror)) from None
    finally:
        # missing_ok forgives a missing file only, and the parent may be a file.
        if not special and temp.exists():
            temp.unlink()
