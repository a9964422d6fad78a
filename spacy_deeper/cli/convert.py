"""`relations convert`: annotation files to training data."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ._util import one_line_errors, say_good


def convert_cli(
    input: Annotated[Path, typer.Argument(help="Annotation file")],
    output: Annotated[
        Path, typer.Argument(help="The .spacy file to write, or an existing folder for it")
    ],
    format: Annotated[
        str | None,
        typer.Option(
            "--from",
            "-f",
            help="Format of the input, if its suffix does not tell it: spert or markup",
        ),
    ] = None,
    lang: Annotated[
        str,
        typer.Option(
            "--lang", "-l", help="Language whose tokenizer to use, if the input has no tokens"
        ),
    ] = "en",
) -> None:
    """Convert annotations to spaCy's training data.

    Either the whole input is converted or, if there is anything wrong in it, nothing is written.
    """
    from ..training.convert import convert

    with one_line_errors():
        done = convert(input, output, format, lang, silent=False)
    say_good(f"Wrote {done.path} (documents: {done.docs})")
    _print_counts("Entities", done.ents)
    _print_counts("Relations", done.relations)


def _print_counts(title: str, counts: Counter[str]) -> None:
    rows = [*sorted(counts.items()), ("all", counts.total())]
    msg.table(rows, header=(title, ""), aligns=("l", "r"), divider=True)
