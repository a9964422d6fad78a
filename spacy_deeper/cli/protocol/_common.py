"""Options that several protocols have, and what all do with them."""

from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from wasabi import table
from wasabi.util import locale_escape

from ...errors import Errors
from ...protocols.paper import TABLES
from .._util import say_good
from ..merge_config import read_config

if TYPE_CHECKING:
    from thinc.api import Config

    from ...protocols.runs import Run

#: What a protocol sets in the config of each run, and the option for it.
OWN = {
    "training.seed": "--seeds",
    "system.seed": "--seeds",
    "paths.train": "--train",
    "paths.dev": "--dev",
}

ConfigFile = Annotated[Path, typer.Argument(..., help="Complete training config")]
Output = Annotated[Path, typer.Argument(..., help="Folder for the runs and results.json")]
Train = Annotated[list[Path], typer.Option("--train", help="Training data; several are joined")]
Test = Annotated[Path, typer.Option("--test", help="Data to score on")]
Dev = Annotated[
    Path | None, typer.Option("--dev", help="Data to score during training, for --select best")
]
Seeds = Annotated[int, typer.Option("--seeds", min=1, help="How many seeds: 0, 1, 2, …")]
NProcess = Annotated[int, typer.Option("--n-process", "-n", min=1, help="Runs at a time")]
Select = Annotated[
    str, typer.Option("--select", help="Checkpoint to score: the last, or the best by --dev")
]
KeepModels = Annotated[bool, typer.Option("--keep-models", help="Keep the trained pipelines")]
GpuId = Annotated[int, typer.Option("--gpu-id", "-g", help="GPU ID or -1 for CPU")]
Title = Annotated[str, typer.Option("--title", help="How a report is to call it")]
Paper = Annotated[
    str, typer.Option("--paper", help="Table of the paper to report beside: " + ", ".join(TABLES))
]


class Training(NamedTuple):
    """How the runs of a protocol are trained, and which checkpoint is scored."""

    n_process: int
    select: str = "last"
    keep_models: bool = False
    gpu_id: int = -1


def train_all(
    protocol: str,
    path: Path,
    config: "Config",
    output: Path,
    make_runs: "Callable[[], list[Run]]",
    training: Training,
    about: dict[str, Any],
    split: dict[str, Any] | None = None,
) -> None:
    """Train and score the runs of a protocol, but for those that are finished.

    path, config: The config's file, for the errors, and what `read_protocol_config` made of it.
    make_runs: Called when the output folder is this protocol's alone.
    about: What a report says of it.
    split: What makes it another protocol that must not go on in the same folder.
    """
    from ...protocols.checks import check_config, check_gpu
    from ...protocols.folder import RESULTS, claimed
    from ...protocols.results import run_protocol

    n_process, select, keep_models, gpu_id = training
    check_gpu(gpu_id)
    options = {
        "config": config.to_str(interpolate=False),
        "select": select,
        "keep_models": keep_models,
        "gpu_id": gpu_id,
    }
    split = split or {}
    with claimed(output, {"protocol": protocol, **split}):
        runs = make_runs()
        for run in {run.row: run for run in runs}.values():
            check_config(path, config, run)
        about = {**about, **split}
        results = run_protocol(
            protocol, runs, output, options, n_process, about=about, silent=False
        )
    print_table(results)
    say_good(f"{len(runs)} runs are in {output / RESULTS}")


def print_table(results: dict[str, Any]) -> None:
    """Print what a report shows first of a protocol's results."""
    from ...protocols.report import main_table

    header, data = found = main_table(results)
    shown = table(data, header=header, divider=True, aligns=found.aligns, max_col=1000)
    typer.echo(locale_escape(shown))  # ± is not in every terminal's alphabet


def read_protocol_config(path: Path, ctx: typer.Context) -> "Config":
    """Read the config, with the overrides of the command line, not interpolated."""
    from click import NoSuchOption
    from spacy.cli._util import parse_config_overrides

    try:
        with redirect_stdout(StringIO()):
            # A copy, as spaCy empties the list.
            overrides = parse_config_overrides(list(ctx.args))
    except (NoSuchOption, SystemExit):
        raise ValueError(Errors.D312.format(options=" ".join(ctx.args))) from None
    config = read_config(path)
    _check_names(path, config, overrides)
    return read_config(path, overrides)


def _check_names(path: Path, config: "Config", overrides: Iterable[str]) -> None:
    """Complain of settings that spaCy would pass over: misspelt ones."""
    from spacy import Language

    known = {
        "vars": set(config.get("vars", {})),
        "training": {*config["training"], *Language.default_config["training"]},
    }
    for key in overrides:
        if key in OWN:
            raise ValueError(Errors.D314.format(key=key, option=OWN[key]))
        section, name = key.split(".", 1)
        if section in known and name.partition(".")[0] not in known[section]:
            problem = Errors.D156.format(paths=path, setting=f"[{section}] {name}", hint="")
            raise ValueError(problem)


def describe(title: str, paper: str) -> dict[str, Any]:
    """Return what a report says of a protocol."""
    if paper and paper not in TABLES:
        known = ", ".join(TABLES)
        raise ValueError(Errors.D108.format(name="--paper", value=paper, known=known))
    return {"title": title, "paper": paper or None}
