"""How much faster an epoch is when the frozen encoder's outputs are cached.

An epoch passes over all texts once: through the frozen encoder alone, and as a whole training epoch
does, with updates.
"""

import tempfile
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from spacy.language import Language
from spacy.training import Example
from spacy.util import minibatch

from spacy_deeper.layers.cached import frozen_layers

from .pipelines import BATCH, start, training_epoch
from .report import Table
from .setup import Setup
from .timing import threads

NOTE = """Seconds of the first epoch, of the second one, and of the first one of the next run, once
each. The factors say how many times as fast as the first one they are."""


def run(setup: Setup) -> list[Table]:
    """Measure an epoch of the encoder alone, and one of training."""
    columns = ["epoch of", "not cached, s", "in memory, s", "factor", "on disk, s", "factor"]
    tables = []
    for number in setup.threads:
        rows = []
        for name, epoch in (("encoder alone", encoder_epoch), ("training", training_epoch)):
            with tempfile.TemporaryDirectory() as folder, threads(number):
                config = deepcopy(setup.config)
                config["paths"]["cache"] = folder
                rows.append([name, *measure(setup, epoch, config)])
        title = f"The cache of a frozen encoder, {number} thread(s)"
        tables.append(Table(title, columns, rows, NOTE))
    return tables


def measure(
    setup: Setup,
    epoch: Callable[[Language, list[Example]], Callable[[], None]],
    config: Any,
) -> list[float]:
    """Time the first epoch, the second one, and the first one of the next run."""
    again = epoch(*start(config, setup.train_docs))
    first, memory = (setup.timer.once(again) for _ in range(2))
    disk = setup.timer.once(epoch(*start(config, setup.train_docs)))
    return [first, memory, first / memory, disk, first / disk]


def encoder_epoch(nlp: Language, examples: list[Example]) -> Callable[[], None]:
    """Return what runs the frozen encoder over all texts."""
    (encoder,) = frozen_layers(nlp)

    def epoch() -> None:
        for batch in minibatch(examples, BATCH):
            encoder.begin_update([example.predicted for example in batch])

    return epoch
