"""What the commands share."""

import os
import re
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from wasabi import MESSAGES, msg
from wasabi.util import locale_escape

from ..errors import Errors

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc
    from spacy.training import Example

CODED = re.compile(r"\[D\d{3}\] ")


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Show a coded error, which is for the user, as one line; another is a bug and goes on."""
    try:
        yield
    except ValueError as err:
        if not CODED.match(str(err)):
            raise
        typer.secho(_with_icon(MESSAGES.FAIL, one_line(err)), fg="red", err=True)
        raise typer.Exit(1) from None


def say_good(text: str) -> None:
    """Say that something was done, on a line that is not wrapped: there are paths in it."""
    typer.secho(_with_icon(MESSAGES.GOOD, text), fg="green")


def say_warning(text: str) -> None:
    """Say what to look at, likewise on a line that is not wrapped."""
    typer.secho(_with_icon(MESSAGES.WARN, text), fg="yellow", err=True)


def one_line(err: object) -> str:
    """Join the lines of an error's text, with what no terminal can show (surrogates) escaped."""
    lines = (line.strip() for line in str(err).splitlines())
    return " ".join(line for line in lines if line).encode("utf-8", "backslashreplace").decode()


def load_pipeline(name: str) -> "Language":
    """Load a pipeline by its name or path."""
    from spacy.util import load_model

    try:
        return load_model(name)
    # What a broken folder raises depends on what is broken in it.
    except Exception as err:
        problem = one_line(err) or type(err).__name__
        raise ValueError(Errors.D160.format(name=name, problem=problem)) from err


def read_examples(nlp: "Language", path: Path) -> "list[Example]":
    """Read annotated data, a .spacy file or a folder of them."""
    from spacy.training import Corpus

    if not path.exists():
        raise ValueError(Errors.D161.format(path=path, problem="there is no such file or folder."))
    if path.is_file() and path.suffix != ".spacy":
        problem = "it is no .spacy file: `relations convert` makes one of it."
        raise ValueError(Errors.D161.format(path=path, problem=problem))
    try:
        with warnings.catch_warnings():
            # That there is no .spacy file in a folder is an error to us, and said below.
            warnings.filterwarnings("ignore", message=r"\[W090\]")
            examples = list(Corpus(path)(nlp))
    # A file that is no DocBin fails in zlib or msgpack, each with exceptions of its own.
    except Exception as err:
        problem = f"it is no .spacy data ({one_line(err) or type(err).__name__})."
        raise ValueError(Errors.D161.format(path=path, problem=problem)) from err
    if not examples:
        raise ValueError(Errors.D161.format(path=path, problem="it has no documents."))
    return examples


def read_docs(nlp: "Language", path: Path) -> "list[Doc]":
    """Read annotated data, a .spacy file or a folder of them, as its gold docs."""
    return [example.reference for example in read_examples(nlp, path)]


def _with_icon(icon: str, text: str) -> str:
    return str(locale_escape(f"{msg.icons[icon]} {text}"))


def check_new_folder(path: Path) -> None:
    """Complain if there is something that a pipeline would be written over."""
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise ValueError(Errors.D181.format(path=path))


def save_pipeline(nlp: "Language", path: Path) -> None:
    """Save a pipeline, all of it or nothing, where there is none yet."""
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        nlp.to_disk(temp)
        os.replace(temp, path)
    except OSError as err:
        raise ValueError(Errors.D106.format(path=path, problem=err.strerror)) from None
    finally:
        shutil.rmtree(temp, ignore_errors=True)
