"""`relations annotate`: a trained pipeline over many texts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ..errors import Errors
from ._util import one_line_errors, say_good, say_warning

IN = "lines, files, jsonl, csv or parquet"
OUT = "jsonl, parquet, spacy or triples"


@contextmanager
def _saying_how_to_go_on(force: bool) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        command = "the same command without --force" if force else "the same command"
        say_warning(f"Stopped. What is done is kept: {command} goes on from there.")
        raise typer.Exit(130) from None


def annotate_cli(
    model: Annotated[str, typer.Argument(..., help="Pipeline name or path")],
    input: Annotated[
        Path,
        typer.Argument(
            ...,
            help="Texts: a .txt file with one on each line, .jsonl, .csv, .tsv or .parquet, or a "
            "folder of files of one kind; .txt files in a folder are a text each",
        ),
    ],
    output: Annotated[
        Path,
        typer.Argument(
            ...,
            help="What to write: .jsonl, .parquet, .spacy or .tsv (triples), or a folder for "
            "many files (--to)",
        ),
    ],
    format: Annotated[
        str | None,
        typer.Option("--from", "-f", help=f"Format of the input, if its suffix is no help: {IN}"),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", "-t", help=f"Format of the output, if it is a folder: {OUT}"),
    ] = None,
    text_column: Annotated[
        str, typer.Option("--text-column", help="Field of a record that has the text")
    ] = "text",
    id_column: Annotated[
        str | None,
        typer.Option(
            "--id-column", help="Field that has the id; by default 'id', or else a running number"
        ),
    ] = None,
    n_process: Annotated[
        int, typer.Option("--n-process", "-n", help="Processes, or Ray's actors, at work at a time")
    ] = 1,
    batch_size: Annotated[
        int, typer.Option("--batch-size", "-b", help="Documents that the pipeline takes at once")
    ] = 64,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            help="Threads of each process; by default its share of the cores, and 1 on Ray",
        ),
    ] = None,
    chunk_size: Annotated[
        int,
        typer.Option(
            "--chunk-size",
            help="Documents that are done and written together, and in one file of a folder",
        ),
    ] = 500,
    gpu_id: Annotated[int, typer.Option("--gpu-id", "-g", help="GPU ID or -1 for CPU")] = -1,
    code: Annotated[
        Path | None,
        typer.Option("--code", "-c", help="Python file with functions that the pipeline needs"),
    ] = None,
    bf16: Annotated[
        bool,
        typer.Option("--bf16", help="Compute products in bfloat16, if the CPU has it: less exact"),
    ] = False,
    engine: Annotated[
        str, typer.Option("--engine", "-e", help="'local', or 'ray' for Ray Data")
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            "--address", help="Address of a Ray cluster; without it, one starts on this machine"
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", "-F", help="Begin anew, and replace an output that exists")
    ] = False,
) -> None:
    """Annotate many texts with a trained pipeline.

    If it is stopped, the same command goes on where it was. A document that fails does not stop it:
    OUTPUT.failures.jsonl has it, with the reason.
    """
    import srsly

    from ..annotation import annotate
    from ..annotation.inputs import Columns

    with one_line_errors(), _saying_how_to_go_on(force):
        done = annotate(
            model,
            input,
            output,
            format,
            to,
            columns=Columns(text_column, id_column),
            n_process=n_process,
            batch_size=batch_size,
            threads=threads,
            chunk_size=chunk_size,
            gpu_id=gpu_id,
            code=code,
            bf16=bf16,
            engine=engine,
            address=address,
            force=force,
            silent=False,
        )
        if done.failures == done.records:
            first = next(srsly.read_jsonl(done.failures_path))
            where = {"count": done.records, "path": done.failures_path}
            raise ValueError(Errors.D424.format(**where, reason=first["reason"]))
    counts = f"documents: {done.records - done.failures}, words: {done.words}"
    found = f"entities: {done.entities}, relations: {done.relations}"
    say_good(f"Wrote {done.output} ({counts}, {found})")
    if done.run_words:
        rate = done.run_words / done.seconds
        typer.echo(f"This run: {done.seconds:.1f} s, {rate:.0f} words/s, loading included")
    if done.failures:
        say_warning(f"Failed documents: {done.failures}. {done.failures_path} has the reasons.")
