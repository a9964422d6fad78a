from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import Errors
from .._util import one_line_errors, say_good
from ._common import (
    ConfigFile,
    GpuId,
    NProcess,
    Output,
    Title,
    Train,
    print_table,
    read_protocol_config,
)

if TYPE_CHECKING:
    from thinc.api import Config


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
            from ...protocols.search import BEST, METRICS, Search
            from ...protocols.space import config_as_point, read_space
        except ImportError as err:
            raise ValueError(Errors.D320.format(problem=err)) from err
        from ...protocols.checks import check_config, check_gpu
        from ...protocols.folder import RESULTS, claimed
        from ...protocols.runs import Run
        from ...protocols.splits import join, read

        check_gpu(gpu_id)
        names = [name.strip() for name in metric.split(",")]
        for name in names:
            if name not in METRICS:
                raise ValueError(Errors.D327.format(name=name, known=", ".join(METRICS)))
        complete = read_protocol_config(config, ctx)
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
            untouched = Run("", "", joined, dev, dev=dev)
            check_config(config, complete, untouched, drawn_from)
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
        print_table(results)
        merge = f"merge-config {config} {output / BEST} final.cfg"
        say_good(f"A config with the best settings: python -m spacy relations {merge}")


def _max_epochs(config: "Config") -> int:
    epochs = config.interpolate()["training"].get("max_epochs", 0)
    return max(0, epochs) if isinstance(epochs, int) else 0
