"""`relations check-counts`: whether a corpus is complete."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import Errors
from ._util import one_line_errors, read_docs, say_good


def check_counts_cli(
    data: Annotated[
        Path, typer.Argument(..., help="Annotated data, a .spacy file or a folder of them")
    ],
    docs: Annotated[int | None, typer.Option("--docs", help="Expected documents")] = None,
    entities: Annotated[int | None, typer.Option("--entities", help="Expected entities")] = None,
    relations: Annotated[int | None, typer.Option("--relations", help="Expected relations")] = None,
) -> None:
    """Check that data has as many documents, entities and relations as it should."""
    import spacy

    from ..relations import get_relations
    from ..training.records import all_entities

    with one_line_errors():
        found = read_docs(spacy.blank("xx"), data)
        counts = {
            "documents": (len(found), docs),
            "entities": (sum(len(all_entities(doc)) for doc in found), entities),
            "relations": (sum(len(get_relations(doc)) for doc in found), relations),
        }
        wrong = [
            f"{count} {what} instead of {expected}"
            for what, (count, expected) in counts.items()
            if expected is not None and count != expected
        ]
        if wrong:
            raise ValueError(Errors.D165.format(path=data, wrong=", ".join(wrong)))
    said = ", ".join(f"{count} {what}" for what, (count, _) in counts.items())
    say_good(f"{data} has {said}")
