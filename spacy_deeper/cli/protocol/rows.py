"""Protocols of rows: each row is some settings, trained with each seed on the same data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from ...errors import Errors
from .._util import one_line_errors
from ._common import (
    ConfigFile,
    Dev,
    GpuId,
    KeepModels,
    NProcess,
    Output,
    Paper,
    Seeds,
    Select,
    Test,
    Title,
    Train,
    Training,
    describe,
    read_protocol_config,
    train_all,
)

if TYPE_CHECKING:
    from thinc.api import Config


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
        data = Data(train, test, dev, seeds)
        training = Training(n_process, select, keep_models, gpu_id)
        about = describe(title or "Seeds", paper)
        complete = read_protocol_config(config, ctx)
        _train_rows("seeds", config, complete, output, {"Seeds": {}}, data, training, about)


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
    from ...protocols.ablation import ablation_rows

    with one_line_errors():
        data = Data(train, test, dev, seeds)
        training = Training(n_process, select, keep_models, gpu_id)
        about = describe(title or "Ablation", paper)
        complete = read_protocol_config(config, ctx)
        rows = ablation_rows(complete.interpolate().get("vars", {}))
        _train_rows("ablation", config, complete, output, rows, data, training, about)


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
    from ...protocols.depths import depth_rows

    with one_line_errors():
        numbers = {"--shared": shared, "--ner": ner, "--re": re}
        depths = [_numbers(option, text) for option, text in numbers.items()]
        if 0 in depths[0]:
            raise ValueError(Errors.D306.format(option="--shared", value=shared))
        rows = depth_rows(_cells(cells), *depths)
        data = Data(train, test, dev, seeds)
        training = Training(n_process, select, keep_models, gpu_id)
        about = describe(title or "Depths", paper)
        complete = read_protocol_config(config, ctx)
        _train_rows("depths", config, complete, output, rows, data, training, about)


def variants_cli(
    ctx: typer.Context,
    config: ConfigFile,
    output: Output,
    train: Train,
    test: Test,
    variants: Annotated[
        Path, typer.Option("--variants", help="JSON file: the settings of each row, by its name")
    ],
    dev: Dev = None,
    seeds: Seeds = 3,
    n_process: NProcess = 1,
    select: Select = "last",
    keep_models: KeepModels = False,
    gpu_id: GpuId = -1,
    title: Title = "",
) -> None:
    """Compare settings: each row of a JSON file changes some of the config's.

    {"Ours": {}, "No label smoothing": {"components.relation_scorer.label_smoothing": 0.0}}
    """
    from ...protocols.variants import read_variants

    with one_line_errors():
        complete = read_protocol_config(config, ctx)
        rows = read_variants(variants, complete)
        data = Data(train, test, dev, seeds)
        training = Training(n_process, select, keep_models, gpu_id)
        about = describe(title or "Variants", "")
        _train_rows("variants", config, complete, output, rows, data, training, about)


class Data(NamedTuple):
    """What every row is trained and scored on, and how often."""

    train: list[Path]
    test: Path
    dev: Path | None
    seeds: int


def _train_rows(
    protocol: str,
    path: Path,
    config: "Config",
    output: Path,
    rows: dict[str, dict[str, Any]],
    data: Data,
    training: Training,
    about: dict[str, Any],
) -> None:
    from ...protocols.runs import Run, file_hash
    from ...protocols.splits import join, read
    from ...protocols.variants import slug

    train, test, dev, seeds = data
    if training.select not in ("last", "best"):
        known = "last or best"
        raise ValueError(Errors.D108.format(name="--select", value=training.select, known=known))
    if training.select == "best" and dev is None:
        raise ValueError(Errors.D305)
    for data_path in [*train, test, *([dev] if dev else [])]:
        read([data_path])
    if training.select == "best" and dev is not None and file_hash(dev) == file_hash(test):
        raise ValueError(Errors.D305)

    def make_runs() -> list[Run]:
        joined = join(train, output / "data" / "train.spacy")
        return [
            Run(f"{slug(row)}-seed-{seed}", row, joined, test, seed, changes, dev)
            for seed in range(seeds)
            for row, changes in rows.items()
        ]

    train_all(protocol, path, config, output, make_runs, training, about)


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
    from ...layers.birnn import CELLS

    cells = [cell.strip() for cell in text.split(",")]
    for cell in cells:
        if cell not in CELLS:
            known = ", ".join(CELLS)
            raise ValueError(Errors.D108.format(name="--cells", value=cell, known=known))
    return cells
