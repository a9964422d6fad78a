"""`relations show`: what a pipeline finds in texts, for a human reader."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from wasabi import msg

from ..errors import Errors
from ._util import load_pipeline, one_line_errors

if TYPE_CHECKING:
    from spacy.tokens import Doc


def show_cli(
    model: Annotated[str, typer.Argument(..., help="Pipeline name or path")],
    input: Annotated[
        str,
        typer.Argument(
            ..., help="Text file with one text per line, a text in quotes, or - for stdin"
        ),
    ],
) -> None:
    """Show the entities and relations that a pipeline finds in texts."""
    with one_line_errors():
        texts = _read_texts(input)
        nlp = load_pipeline(model)
        # Entities have scores where the CRF can tell them.
        taggers = [pipe for _, pipe in nlp.pipeline if hasattr(pipe, "entity_scores")]
        for doc in nlp.pipe(texts):
            _print_doc(doc, taggers[0].entity_scores(doc) if taggers else None)


def _read_texts(input: str) -> list[str]:
    from ..training.formats.util import BOM, decode, read_text

    if input == "-":
        # Not as the locale has it: in some, what is no UTF-8 is read without complaint.
        text = decode(sys.stdin.buffer.read(), "stdin").removeprefix(BOM)
    elif os.path.isfile(input):
        text = read_text(Path(input))
    elif len(input.split()) > 1:
        text = input
    else:
        raise ValueError(Errors.D164.format(path=input))
    return [line.strip() for line in text.split("\n") if line.strip()]


def _print_doc(doc: "Doc", entity_scores: list[float] | None) -> None:
    from ..relations import get_relations

    typer.secho(f"\n{doc.text}", bold=True)
    ents = [
        (ent.text, ent.label_, "" if entity_scores is None else f"{entity_scores[i]:.2f}")
        for i, ent in enumerate(doc.ents)
    ]
    if ents:
        ent_header = ("Entity", "Type", "" if entity_scores is None else "Score")
        msg.table(ents, header=ent_header, aligns=("l", "l", "r"), divider=True, max_col=60)
    else:
        msg.text("No entities")
    relations = [
        (head.text, f"--{label}-->", tail.text, f"{score:.2f}")
        for head, tail, label, score in get_relations(doc)
    ]
    if relations:
        header = ("Head", "Relation", "Tail", "Score")
        msg.table(relations, header=header, aligns=("l", "c", "l", "r"), divider=True, max_col=60)
    else:
        msg.text("No relations")
