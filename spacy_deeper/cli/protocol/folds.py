from pathlib import Path
from typing import Annotated

import typer

from .._util import one_line_errors
from ._common import (
    ConfigFile,
    GpuId,
    KeepModels,
    NProcess,
    Output,
    Paper,
    Seeds,
    Title,
    Training,
    describe,
    read_protocol_config,
    train_all,
)


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
    from ...protocols.runs import Run
    from ...protocols.splits import make_folds, read
    from ...protocols.splits import split as split_docs

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

        train_all(
            "folds",
            config,
            read_protocol_config(config, ctx),
            output,
            make_runs,
            Training(n_process, keep_models=keep_models, gpu_id=gpu_id),
            describe(title or f"{folds} folds", paper),
            {"folds": folds, "dev_fraction": dev_fraction, "split_seed": split_seed},
        )
