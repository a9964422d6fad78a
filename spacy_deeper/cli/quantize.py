"""`relations quantize`: a copy of a trained pipeline that is smaller and faster on the CPU."""

from pathlib import Path
from typing import Annotated

import typer

from ._util import check_new_folder, load_pipeline, one_line_errors, save_pipeline, say_good


def quantize_cli(
    model: Annotated[str, typer.Argument(..., help="Trained pipeline, name or path")],
    output: Annotated[Path, typer.Argument(..., help="Folder to write the quantized pipeline to")],
) -> None:
    """Write a copy of a pipeline with weights of 8 bits.

    `spacy.load` loads it, and it runs on the CPU. It can't be trained. Check what it scores:
    `relations evaluate`.
    """
    from ..quantization import quantize

    with one_line_errors():
        check_new_folder(output)
        nlp = load_pipeline(model)
        count = quantize(nlp)
        save_pipeline(nlp, output)
    say_good(f"Quantized {count} layers; saved to {output}")
