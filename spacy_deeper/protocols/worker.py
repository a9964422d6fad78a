"""One run, in a process of its own: `python -m spacy_deeper.protocols.worker FOLDER`.

The folder has a `job.json`. What appears beside it: `progress.json`, how far the training is;
`model`, if it is kept; `result.json`, when all is done.

Its standard input must be a pipe that the starting process holds: when it breaks, this one ends.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from io import StringIO
from itertools import islice
from math import ceil
from pathlib import Path
from threading import Thread
from time import monotonic, perf_counter
from typing import IO, Any

import srsly
import torch
from spacy.cli._util import setup_gpu
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus, Example
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_model, load_model_from_config, registry, resolve_dot_names
from spacy.vocab import Vocab
from thinc.api import Config

from ..errors import Errors
from ..evaluation import evaluate
from ..models.size import count_parameters
from ..training.convert import write_atomically
from ..training.debug_data.reading import without_space
from .environment import machine, versions
from .runs import Run
from .settings import with_settings

JOB, PROGRESS, RESULT, MODEL = "job.json", "progress.json", "result.json", "model"
#: Where there is no dev data, something has to stand in for it.
ONE_TEXT = "one.spacy"


def main(folder: Path) -> None:
    """Train and score the run of a folder."""
    job = srsly.read_json(folder / JOB)
    result = work(Run.from_dict(job["run"]), folder, **job["options"])
    result["fingerprint"] = job["fingerprint"]
    write_atomically(folder / RESULT, srsly.json_dumps(result, indent=1).encode() + b"\n")


def end_with_parent() -> None:
    """End this process when the one that started it ends, even if that was killed."""

    def wait() -> None:
        os.read(0, 1)  # a lock on sys.stdin would be in the way of an ordinary end
        os._exit(1)

    Thread(target=wait, daemon=True).start()


def work(
    run: Run,
    folder: Path,
    *,
    config: str,
    select: str,
    gpu_id: int,
    keep_models: bool,
    evaluations: int | None = None,
) -> dict[str, Any]:
    """Train a pipeline and score it.

    config (str): The config to start from.
    select (str): Which checkpoint to score: the "last", or the "best" by the run's `dev`.
    keep_models (bool): Leave the pipeline in the folder.
    evaluations (Optional[int]): In how many equal parts to divide the training by scoring on the
        run's `dev`, instead of by the config's `eval_frequency`.
    RETURNS (Dict[str, Any]): The run, its scores and what they cost.
    """
    setup_gpu(gpu_id, silent=True)
    complete = run_config(Config().from_str(config, interpolate=False), run, folder)
    n_steps = count_steps(complete)
    optimizer = complete.interpolate()["training"].get("optimizer")
    if optimizer is not None:
        fit_schedules(optimizer, n_steps)
        complete["training"]["optimizer"] = optimizer
    if evaluations is not None:
        complete["training"]["eval_frequency"] = ceil(n_steps / evaluations)
    complete["training"]["logger"] = {
        "@loggers": "protocol_progress",
        "path": str(folder / PROGRESS),
        "n_steps": n_steps,
    }
    start = perf_counter()
    nlp = init_nlp(complete, use_gpu=gpu_id)
    n_parameters = count_parameters(nlp)
    model = folder / MODEL
    model.mkdir(parents=True, exist_ok=True)
    train(nlp, model, use_gpu=gpu_id, stdout=sys.stdout, stderr=StringIO())
    seconds = perf_counter() - start
    # What an optimizer averages is in what is saved only.
    nlp = load_model(model / f"model-{select}")
    examples = list(Corpus(run.test)(nlp))
    scores = {"all": evaluate(nlp, examples)}
    # Read anew: these docs have predictions, which the pipeline would keep.
    unseen = list(without_repeats(Corpus(run.test)(nlp), Corpus(run.train)(nlp)))
    if 0 < len(unseen) < len(examples):
        scores["without_repeats"] = evaluate(nlp, unseen)
    (folder / ONE_TEXT).unlink(missing_ok=True)
    if keep_models:
        if run.dev is None:
            shutil.rmtree(model / "model-best")  # that of the first step
        for path in model.iterdir():
            restore_config(path / "config.cfg", config, run)
    else:
        shutil.rmtree(model, ignore_errors=True)
    return {
        **run.to_dict(),
        "n_test": {"all": len(examples), "without_repeats": len(unseen)},
        "machine": machine(),
        "versions": versions(),
        "threads": torch.get_num_threads(),
        "n_parameters": n_parameters,
        "n_steps": srsly.read_json(folder / PROGRESS)["step"],
        "seconds": seconds,
        "scores": scores,
    }


def restore_config(path: Path, config: str, run: Run) -> None:
    """Take out of a trained pipeline's config what only the protocol needs."""
    trained = Config().from_disk(path, interpolate=False)
    original = Language.default_config.merge(Config().from_str(config, interpolate=False))
    keys = ["training.logger"]
    if run.dev is None:
        keys += without_dev(path)
    for section, name in (key.split(".") for key in keys):
        trained[section][name] = original[section][name]
    trained.to_disk(path)


def run_config(config: Config, run: Run, folder: Path) -> Config:
    """Return the config of one run: its settings, data and seed."""
    settings = {**run.settings, "paths.train": str(run.train), "training.seed": run.seed}
    if run.dev is None:
        one = folder / ONE_TEXT
        DocBin(docs=first_docs(run.train, 1), store_user_data=True).to_disk(one)
        settings |= without_dev(one)
    else:
        settings["paths.dev"] = str(run.dev)
    # What must be there for spaCy.
    training = {"gpu_allocator": None, **config["training"]}
    return with_settings({"paths": {}, **config, "training": training}, settings)


def without_dev(one: Path) -> dict[str, Any]:
    """Return the settings of a training to its end, without scores in between.

    one (Path): spaCy wants a dev corpus, and scores it at the first step: one text will do.
    """
    return {
        "paths.dev": str(one),
        "training.eval_frequency": sys.maxsize,
        "training.patience": 0,
    }


def first_docs(path: Path, n: int) -> list[Doc]:
    docs = DocBin().from_disk(path).get_docs(Vocab())
    return list(islice(docs, n))


def count_steps(config: Config) -> int:
    """Count the optimizer's steps in a training: those of an epoch, times the epochs.

    Batches by words are about as many in each epoch; `max_steps` counts from 0, so it makes one
    step more.
    """
    nlp = load_model_from_config(config, auto_fill=True)
    filled = nlp.config.interpolate()
    training = filled["training"]
    (corpus,) = resolve_dot_names(filled, [training["train_corpus"]])
    batcher = registry.resolve({"batcher": training["batcher"]})["batcher"]
    n_steps = sum(1 for _ in batcher(corpus(nlp))) * training["max_epochs"]
    max_steps = training["max_steps"]
    limits = [*([n_steps] if n_steps > 0 else []), *([max_steps + 1] if max_steps > 0 else [])]
    if not limits:
        raise ValueError(Errors.D301)
    return min(limits)


def fit_schedules(optimizer: Any, n_steps: int) -> None:
    """Let schedules with `total_steps` end where this training ends; warm-ups keep their share.

    The folds and splits of one protocol have different sizes, and a config has one number.
    """
    for schedule in filter(lambda value: isinstance(value, dict), optimizer.values()):
        total = schedule.get("total_steps")
        if isinstance(total, int) and total > 0:
            schedule["total_steps"] = n_steps
            if isinstance(schedule.get("warmup_steps"), int):
                schedule["warmup_steps"] = round(schedule["warmup_steps"] * n_steps / total)
        fit_schedules(schedule, n_steps)


def without_repeats(examples: Iterable[Example], train: Iterable[Example]) -> Iterator[Example]:
    """Yield the examples whose text, but for white space, is not among the training's."""
    seen = {without_space(example.reference.text) for example in train}
    return (eg for eg in examples if without_space(eg.reference.text) not in seen)


# No entry point, as nobody else is to use it: no trained pipeline has it in its config.
@registry.loggers("protocol_progress")
def progress_file(path: str, n_steps: int) -> Callable[..., tuple[Callable, Callable]]:
    """Create a training logger that keeps one JSON file up to date, for another process to read."""

    def setup(nlp: Language, stdout: IO[str], stderr: IO[str]) -> tuple[Callable, Callable]:
        progress: dict[str, Any] = {"step": 0, "n_steps": n_steps, "evaluations": []}
        written = 0.0

        def log_step(info: dict[str, Any] | None) -> None:
            nonlocal written
            progress["step"] += 1
            if info is not None:
                numbers = {k: v for k, v in info["other_scores"].items() if isinstance(v, float)}
                evaluation = {"epoch": info["epoch"], "step": info["step"], "score": info["score"]}
                progress["evaluations"].append({**evaluation, "scores": numbers})
                print(srsly.json_dumps({**evaluation, "losses": info["losses"]}), flush=True)
            if info is not None or monotonic() - written > 0.5:
                write_atomically(Path(path), srsly.json_dumps(progress).encode())
                written = monotonic()

        def finalize() -> None:
            write_atomically(Path(path), srsly.json_dumps(progress).encode())

        return log_step, finalize

    return setup


if __name__ == "__main__":
    end_with_parent()
    main(Path(sys.argv[1]))
