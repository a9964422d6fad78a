from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from .._util import one_line_errors, say_good, say_warning


def report_cli(
    results: Annotated[
        list[Path],
        typer.Argument(
            ..., help="Results files, or folders: of .json files, or of protocols' outputs"
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Markdown file to write")],
    title: Annotated[str, typer.Option("--title", help="Title of the page")] = "Results",
    with_plots: Annotated[
        bool, typer.Option("--plots", help="Draw a picture for each beside it; needs matplotlib")
    ] = False,
) -> None:
    """Print results files as tables, mean ± standard deviation, and write a page with pictures."""
    from ...protocols.report import render
    from ...protocols.results import find_results, is_begun, read_results
    from ...training.convert import write_atomically
    from ._common import print_table

    with one_line_errors():
        paths = find_results(results)
        begun = {path for path in paths if path not in results and is_begun(path)}
        if begun == {*paths}:
            begun.clear()  # reading them says what is wrong
        for path in sorted(begun):
            say_warning(f"Left out {path}: it has no finished run yet")
        contents = [read_results(path) for path in paths if path not in begun]
        for content in contents:
            msg.divider(content["title"])
            print_table(content)
        pictures: list[str | None] = [None] * len(contents)
        if with_plots:
            from ...protocols.plots import plot

            pictures = [f"{output.stem}-{i}.png" for i in range(1, len(contents) + 1)]
            for content, picture in zip(contents, pictures, strict=True):
                path = output.with_name(str(picture))
                write_atomically(path, plot(path, content))
        write_atomically(output, render(contents, title, pictures).encode())
        say_good(f"Wrote {len(contents)} tables to {output}")
