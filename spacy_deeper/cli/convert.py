"""`relations convert`: annotation files to training data, and back."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ..errors import Warnings
from ._util import one_line, one_line_errors, say_good, say_warning

IN = "spert, multihead, ade, dygie, brat, prodigy, labelstudio, doccano, markup or spacy"
OUT = "spacy, spert, brat or triples"


def convert_cli(
    input: Annotated[
        Path, typer.Argument(..., help="Annotation file, folder of them, or - for standard input")
    ],
    output: Annotated[
        Path,
        typer.Argument(
            ..., help="The file to write (for brat a folder), or an existing folder for it"
        ),
    ],
    format: Annotated[
        str | None,
        typer.Option("--from", "-f", help=f"Format of the input, if it can't be guessed: {IN}"),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", "-t", help=f"Format of the output, if it is not spacy: {OUT}"),
    ] = None,
    lang: Annotated[
        str,
        typer.Option(
            "--lang", "-l", help="Language whose tokenizer to use, if the input has no tokens"
        ),
    ] = "en",
    overlap: Annotated[
        str,
        typer.Option(
            "--overlap",
            help="Of entities that overlap keep the 'longest', or move the others to doc.spans: "
            "'spans'",
        ),
    ] = "longest",
    align: Annotated[
        str,
        typer.Option(
            "--align",
            help="An entity that cuts a token: 'expand' or 'contract' it, or be 'strict': drop it",
        ),
    ] = "expand",
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", help="File for every annotation repaired or dropped, as JSON lines"
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Write nothing if any annotation is repaired or dropped"),
    ] = False,
) -> None:
    """Convert annotations to spaCy's training data, or a .spacy file to other formats (--to).

    Either the whole input is converted or, if it is broken, nothing is written. What is not broken
    and yet does not fit is repaired or dropped, and counted at the end.
    """
    from ..training.convert import STDIN, convert
    from ..training.records import Options

    with one_line_errors():
        done = convert(
            input,
            output,
            format,
            lang,
            to=to,
            options=Options(overlap=overlap, align=align),
            strict=strict,
            report_path=report,
            silent=False,
        )
    say_good(f"Wrote {done.path} (documents: {done.docs})")
    if format is None and not done.ents:
        say_warning(Warnings.DW100.format(path="stdin" if input == STDIN else input))
    _print_counts("Entities", done.ents)
    _print_counts("Relations", done.relations)
    read, written = done.report.read, done.report.written
    kinds = ("documents", "entities", "relations")
    rows = [(kind, read[kind], written[kind]) for kind in kinds]
    msg.table(rows, header=("", "read", "written"), aligns=("l", "r", "r"), divider=True)
    first = {(loss.action, loss.what, loss.reason): loss for loss in reversed(done.report.losses)}
    changes = [
        (f"{action} {what}", reason, count, one_line(loss.at))
        for (action, what, reason), count in sorted(done.report.reasons().items())
        for loss in [first[action, what, reason]]
    ]
    if changes:
        header = ("Changed", "because", "", "first")
        aligns = ("l", "l", "r", "l")
        msg.table(changes, header=header, aligns=aligns, divider=True, max_col=1000)


def _print_counts(title: str, counts: Counter[str]) -> None:
    rows = [*sorted(counts.items()), ("all", counts.total())]
    msg.table(rows, header=(title, ""), aligns=("l", "r"), divider=True)
