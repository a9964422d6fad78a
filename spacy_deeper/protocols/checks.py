"""What can be seen to be wrong before anything is trained."""

import re
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import srsly
from spacy.schemas import ConfigSchemaTraining
from spacy.util import load_model_from_config, registry
from thinc.api import Config
from thinc.util import gpu_is_available

from ..errors import Errors
from .runs import Run
from .worker import run_config


def check_config(
    path: Path, config: Config, run: Run, changed: Iterable[str] | None = None
) -> None:
    """Build a run's pipeline, untrained, and see that the config trains it on the run's data.

    path (Path): The config's file, for the errors.
    config (Config): The config, not interpolated.
    run (Run): One of the protocol's.
    changed (Optional[Iterable[str]]): What the runs change; by default what this one does.
    """
    _check_variables(config, run.settings if changed is None else changed)
    with TemporaryDirectory() as folder:
        complete = run_config(config, run, Path(folder))
        try:
            filled = load_model_from_config(complete, auto_fill=True).config.interpolate()
            registry.resolve(filled["training"], schema=ConfigSchemaTraining)
        # What the functions of a config raise is up to them.
        except Exception as err:
            raise ValueError(Errors.D311.format(path=path, problem=err)) from err
    training = filled["training"]
    if training["max_epochs"] <= 0 and training["max_steps"] <= 0:
        raise ValueError(Errors.D301)
    for name in ("train", "dev"):
        corpus = training[f"{name}_corpus"]
        if not _reads(filled, corpus, filled["paths"][name]):
            raise ValueError(Errors.D308.format(corpus=f"[{corpus}]", name=name))


def check_gpu(gpu_id: int) -> None:
    """Complain if there is no GPU."""
    if gpu_id >= 0 and not gpu_is_available():
        problem = "Thinc finds none that it can use."
        raise ValueError(Errors.D163.format(gpu_id=gpu_id, problem=problem))


def _check_variables(config: Config, settings: Iterable[str]) -> None:
    """Complain of variables that the config has not, or passes over."""
    text = config.to_str(interpolate=False)
    used = {f"vars.{name}" for name in re.findall(r"\$\{vars[.:](\w+)\}", text)}
    changed = [key for key in settings if key.startswith("vars.")]
    missing = [key.removeprefix("vars.") for key in changed if key not in used]
    if missing:
        raise ValueError(Errors.D303.format(missing=", ".join(missing)))


def _reads(config: dict[str, Any], section: str, value: str) -> bool:
    """Tell whether a value stands anywhere in a section."""
    block: Any = config
    for name in section.split("."):
        block = block.get(name, {})
    return srsly.json_dumps(value) in srsly.json_dumps(block)
