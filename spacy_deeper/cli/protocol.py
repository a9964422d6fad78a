"""`relations protocol …`: trainings over seeds, folds, ablations, depths, and a search."""

from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..compat import Typer
from ..errors import Errors
from ..protocols.paper import TABLES
from ._util import one_line_errors, say_good
from .merge_config import read_config

if TYPE_CHECKING:
    from thinc.api import Config

    from ..protocols.runs import Run

HELP = """Train and score many times: seeds, folds, an ablation, depths, a search.

Each run has a process and a folder of its own. A protocol that was stopped goes on where it was:
finished runs are skipped. All results are in OUTPUT/results.json. Settings of the config can be
changed as with `spacy train`: --training.max_epochs 5. Schedules with `total_steps` end where a
run's training ends.
"""

app = Typer(name="protocol", help=HELP, no_args_is_help=True, rich_markup_mode=None)
#: What a protocol sets in the config of each run, and the option for it.
OWN = {
    "training.seed": "--seeds",
    "system.seed": "--seeds",
    "paths.train": "--train",
    "paths.dev": "--dev",
}
OVERRIDES = {"allow_extra_args": True, "ignore_unknown_options": True}

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


@app.command("seeds", context_settings=OVERRIDES)
def seeds_cli(
    ctx: typer.Context,
    config: ConfigFile,
    output: Output,
    train: Train,
    test: Test,
    dev: Dev = None,
    seeds: Seeds = 5,
    n_process: NProcess = 1,
    select: Select = "last",
    keep_models: KeepModels = False,
    gpu_id: GpuId = -1,
    title: Title = "",
    paper: Paper = "",
) -> None:
    """Train with several seeds, and score each on the same data.

    As in the paper's Table 2: --train train.spacy --train dev.spacy --test test.spacy --seeds 5.
    """
    with one_line_errors():
        _check_select(select, dev)
        settings = {"Seeds": dict[str, Any]()}
        runs = _rows(settings, train, test, dev, seeds, output, select)
        about = _about(title or "Seeds", paper)
        _run("seeds", ctx, config, output, runs, n_process, select, keep_models, gpu_id, about)


@app.command("ablation", context_settings=OVERRIDES)
def ablation_cli(
    ctx: typer.Context,
    config: ConfigFile,
    output: Output,
    train: Train,
    test: Test,
    dev: Dev = None,
    seeds: Seeds = 3,
    n_process: NProcess = 1,
    select: Select = "last",
    keep_models: KeepModels = False,
    gpu_id: GpuId = -1,
    title: Title = "",
    paper: Paper = "",
) -> None:
    """Take the layers of each task away, and add as many shared ones: the paper's Table 3."""
    from ..protocols.ablation import ablation_rows

    with one_line_errors():
        _check_select(select, dev)
        settings = ablation_rows(_read_config(config, ctx).interpolate().get("vars", {}))
        runs = _rows(settings, train, test, dev, seeds, output, select)
        about = _about(title or "Ablation", paper)
        _run("ablation", ctx, config, output, runs, n_process, select, keep_models, gpu_id, about)


@app.command("depths", context_settings=OVERRIDES)
def depths_cli(
    ctx: typer.Context,
    config: ConfigFile,
    output: Output,
    train: Train,
    test: Test,
    dev: Dev = None,
    shared: Annotated[str, typer.Option("--shared", help="Numbers of shared layers")] = "1-3",
    ner: Annotated[str, typer.Option("--ner", help="Numbers of NER-specific layers")] = "0-3",
    re: Annotated[str, typer.Option("--re", help="Numbers of RE-specific layers")] = "0-3",
    cells: Annotated[str, typer.Option("--cells", help="Kinds of cells, with commas")] = "gru,lstm",
    seeds: Seeds = 1,
    n_process: NProcess = 1,
    select: Select = "last",
    keep_models: KeepModels = False,
    gpu_id: GpuId = -1,
    title: Title = "",
    paper: Paper = "",
) -> None:
    """Try every number of shared and task-specific layers: the paper's grid, 96 trainings."""
    from ..protocols.depths import depth_rows

    with one_line_errors():
        _check_select(select, dev)
        numbers = {"--shared": shared, "--ner": ner, "--re": re}
        depths = [_numbers(option, text) for option, text in numbers.items()]
        if 0 in depths[0]:
            raise ValueError(Errors.D306.format(option="--shared", value=shared))
        settings = depth_rows(_cells(cells), *depths)
        runs = _rows(settings, train, test, dev, seeds, output, select)
        about = _about(title or "Depths", paper)
        _run("depths", ctx, config, output, runs, n_process, select, keep_models, gpu_id, about)


@app.command("folds", context_settings=OVERRIDES)
def folds_cli(
    ctx: typer.Context,
    config: ConfigFile,
    output: Output,
    data: Annotated[list[Path], typer.Option("--data", help="All data; several are joined")],
    folds: Annotated[int, typer.Option("--folds", min=2, help="How many folds")] = 10,
    dev_fraction: Annotated[
        float,
        typer.Option(
            "--dev-fraction", min=0, max=0.5, help="Part to hold out as data/dev.spacy first"
        ),
    ] = 0.1,
    split_seed: Annotated[int, typer.Option("--split-seed", min=0, help="Seed of the folds")] = 0,
    seeds: Seeds = 1,
    n_process: NProcess = 1,
    keep_models: KeepModels = False,
    gpu_id: GpuId = -1,
    title: Title = "",
    paper: Paper = "",
) -> None:
    """Cross-validate: train on all folds but one, and score on that one.

    A part is held out first, to choose settings by: it is in no fold. Folds are stratified by the
    number of relations; documents of one text are in one fold; OUTPUT/data/folds.json has which.
    """
    from ..protocols.runs import Run
    from ..protocols.splits import make_folds, read
    from ..protocols.splits import split as split_docs

    with one_line_errors():
        docs = read(data)
        split_docs(docs, folds, dev_fraction, split_seed)  # complains if that can't be done

        def make_runs() -> list[Run]:
            made = make_folds(data, output / "data", folds, dev_fraction, split_seed)
            return [
                Run(f"fold-{k}-seed-{seed}", "Folds", fold.train, fold.test, seed)
                for seed in range(seeds)
                for k, fold in enumerate(made)
            ]

        split = {"folds": folds, "dev_fraction": dev_fraction, "split_seed": split_seed}
        about = _about(title or f"{folds} folds", paper)
        _run(
            "folds",
            ctx,
            config,
            output,
            make_runs,
            n_process,
            "last",
            keep_models,
            gpu_id,
            about,
            split,
        )


@app.command("report")
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
    """Turn results files into tables, mean ± standard deviation, and pictures."""
    from ..protocols.report import render
    from ..protocols.results import find_results, read_results
    from ..training.convert import write_atomically

    with one_line_errors():
        contents = [read_results(path) for path in find_results(results)]
        pictures: list[str | None] = [None] * len(contents)
        if with_plots:
            from ..protocols.plots import plot

            pictures = [f"{output.stem}-{i}.png" for i in range(1, len(contents) + 1)]
            for content, picture in zip(contents, pictures, strict=True):
                path = output.with_name(str(picture))
                write_atomically(path, plot(path, content))
        write_atomically(output, render(contents, title, pictures).encode())
        say_good(f"Wrote {len(contents)} tables to {output}")


@app.command("search", context_settings=OVERRIDES)
def search_cli(
    ctx: typer.Context,
    config: ConfigFile,
    output: Output,
    train: Train,
    dev: Annotated[Path, typer.Option("--dev", help="Data to score on")],
    trials: Annotated[int, typer.Option("--trials", min=1, help="How many, in all")] = 50,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0, help="Begin no trial after these minutes")
    ] = None,
    space: Annotated[
        Path, typer.Option("--space", help="JSON file: what to draw each setting from")
    ] = Path("configs/search.json"),
    metric: Annotated[
        str, typer.Option("--metric", help="Score to raise, or some, with commas, for their mean")
    ] = "ents_micro_f,rel_micro_f",
    evaluations: Annotated[
        int | None,
        typer.Option(
            "--evaluations",
            min=1,
            help="Parts of a training, with a score after each  [each epoch]",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Trainings of each trial")] = 1,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the search")] = 0,
    n_process: NProcess = 1,
    gpu_id: GpuId = -1,
    title: Title = "Search",
) -> None:
    """Search for good settings with Optuna, giving up on trials that fall behind.

    The best settings are in OUTPUT/best.cfg, to merge over CONFIG. The first trial is CONFIG as it
    is, if the space has it. The same command goes on with a search that was stopped, and with a
    greater number of --trials also with one that came to its end.
    """
    with one_line_errors():
        try:
            from ..protocols.search import BEST, METRICS, Search
            from ..protocols.space import config_as_point, read_space
        except ImportError as err:
            raise ValueError(Errors.D320.format(problem=err)) from err
        from ..protocols.checks import check_config, check_gpu
        from ..protocols.folder import RESULTS, claimed
        from ..protocols.runs import Run
        from ..protocols.splits import join, read

        check_gpu(gpu_id)
        names = [name.strip() for name in metric.split(",")]
        for name in names:
            if name not in METRICS:
                raise ValueError(Errors.D327.format(name=name, known=", ".join(METRICS)))
        complete = _read_config(config, ctx)
        drawn_from = read_space(space, complete)
        options = {
            "config": complete.to_str(interpolate=False),
            "select": "last",
            "keep_models": False,
            "gpu_id": gpu_id,
            "evaluations": evaluations or _max_epochs(complete) or 10,
        }
        read([dev])
        with claimed(output, {"protocol": "search"}):
            joined = join(train, output / "data" / "train.spacy")
            variables = {key: None for key in drawn_from if key.startswith("vars.")}
            check_config(config, complete, Run("", "", joined, dev, dev=dev), variables)
            search = Search(
                drawn_from,
                joined,
                dev,
                output,
                options,
                metric=names,
                seeds=seeds,
                n_process=n_process,
                seed=seed,
                first=config_as_point(complete, drawn_from),
                title=title,
                silent=False,
            )
            results = search.run(trials, timeout)
    say_good(f"{len(results['trials'])} trials are in {output / RESULTS}")
    if results["best"]:
        merge = f"merge-config {config} {output / BEST} final.cfg"
        say_good(f"A config with the best settings: python -m spacy relations {merge}")


def _rows(
    settings: dict[str, dict[str, Any]],
    train: list[Path],
    test: Path,
    dev: Path | None,
    seeds: int,
    output: Path,
    select: str,
) -> "Callable[[], list[Run]]":
    """Return what makes a run for each row and seed, now that the data are there."""
    from ..protocols.runs import Run, file_hash
    from ..protocols.splits import join, read

    for path in [*train, test, *([dev] if dev else [])]:
        read([path])
    if select == "best" and dev is not None and file_hash(dev) == file_hash(test):
        raise ValueError(Errors.D305)

    def make_runs() -> list[Run]:
        joined = join(train, output / "data" / "train.spacy")
        return [
            Run(f"{_slug(row)}-seed-{seed}", row, joined, test, seed, changes, dev)
            for seed in range(seeds)
            for row, changes in settings.items()
        ]

    return make_runs


def _run(
    name: str,
    ctx: typer.Context,
    config: Path,
    output: Path,
    make_runs: "Callable[[], list[Run]]",
    n_process: int,
    select: str,
    keep_models: bool,
    gpu_id: int,
    about: dict[str, Any],
    split: dict[str, Any] | None = None,
) -> None:
    from ..protocols.checks import check_config, check_gpu
    from ..protocols.folder import RESULTS, claimed
    from ..protocols.results import run_protocol

    check_gpu(gpu_id)
    complete = _read_config(config, ctx)
    options = {
        "config": complete.to_str(interpolate=False),
        "select": select,
        "keep_models": keep_models,
        "gpu_id": gpu_id,
    }
    split = split or {}
    with claimed(output, {"protocol": name, **split}):
        runs = make_runs()
        check_config(config, complete, runs[0], runs[0].settings)
        about = {**about, **split}
        run_protocol(name, runs, output, options, n_process, about=about, silent=False)
    say_good(f"{len(runs)} runs are in {output / RESULTS}")


def _read_config(path: Path, ctx: typer.Context) -> "Config":
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
            problem = Errors.D156.format(paths=path, section=section, name=name, hint="")
            raise ValueError(problem)


def _max_epochs(config: "Config") -> int:
    epochs = config.interpolate()["training"].get("max_epochs", 0)
    return max(0, epochs) if isinstance(epochs, int) else 0


def _about(title: str, paper: str) -> dict[str, Any]:
    if paper and paper not in TABLES:
        known = ", ".join(TABLES)
        raise ValueError(Errors.D108.format(name="--paper", value=paper, known=known))
    return {"title": title, "paper": paper or None}


def _check_select(select: str, dev: Path | None) -> None:
    if select not in ("last", "best"):
        raise ValueError(Errors.D108.format(name="--select", value=select, known="last or best"))
    if select == "best" and dev is None:
        raise ValueError(Errors.D305)


def _numbers(option: str, text: str) -> list[int]:
    """Read "1-3" or "0,2" as numbers."""
    first, dash, last = text.partition("-")
    try:
        parts = [int(part) for part in ([first, last] if dash else text.split(","))]
    except ValueError:
        parts = []
    numbers = list(range(parts[0], parts[1] + 1)) if dash and parts else parts
    if not numbers:
        raise ValueError(Errors.D306.format(option=option, value=text))
    return numbers


def _cells(text: str) -> list[str]:
    """Read "gru,lstm" as kinds of cells."""
    from ..layers.birnn import CELLS

    cells = [cell.strip() for cell in text.split(",")]
    for cell in cells:
        if cell not in CELLS:
            known = ", ".join(CELLS)
            raise ValueError(Errors.D108.format(name="--cells", value=cell, known=known))
    return cells


def _slug(text: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())
