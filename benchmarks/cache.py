"""How much faster an epoch is when the frozen encoder's outputs are cached.

An epoch passes over all texts once: through the frozen encoder alone, and as a whole training epoch
does, with updates.
"""

import tempfile
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.training import Example
from spacy.util import minibatch

from spacy_deeper.layers.cached import frozen_layers
from spacy_deeper.models.transformer import local_path

from .pipelines import BATCH, start, training_epoch
from .report import Table
from .setup import Setup
from .timing import threads

NOTE = """Seconds of the first epoch, of the second one, and of the first one of the next run, once
each. They are so many times as fast as the first one. The last row has an encoder of the sizes of
BERT's base (12 layers, 768 wide), with random weights: they don't matter to the time."""


def run(setup: Setup) -> list[Table]:
    """Measure an epoch of the encoder alone, and one of training."""
    columns = ["epoch of", "not cached, s", "in memory, s", "times", "on disk, s", "times, disk"]
    tables = []
    for number in setup.threads:
        rows = []
        for name, epoch, large in EPOCHS:
            with tempfile.TemporaryDirectory() as folder, threads(number):
                config = deepcopy(setup.config)
                config["paths"]["cache"] = str(Path(folder) / "cache")
                if large:
                    encoder = make_encoder(Path(folder), config["vars"]["encoder"], setup.quick)
                    config["vars"]["encoder"] = encoder
                rows.append([name, *measure(setup, epoch, config)])
        title = f"The cache of a frozen encoder, {number} thread(s)"
        tables.append(Table(title, columns, rows, NOTE))
    return tables


def make_encoder(folder: Path, like: str, quick: bool) -> str:
    """Make a random encoder as large as BERT's base, with the tokenizer of another; a tiny one if
    it is but to be seen to work."""
    from transformers import AutoTokenizer, BertConfig, BertModel

    tokenizer = AutoTokenizer.from_pretrained(local_path(like))
    sizes = {"hidden_size": 24, "num_hidden_layers": 1} if quick else {}
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder / "encoder")
    tokenizer.save_pretrained(folder / "encoder")
    return str(folder / "encoder")


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


# What an epoch is of, and whether with the large encoder.
EPOCHS = (
    ("encoder alone", encoder_epoch, False),
    ("training", training_epoch, False),
    ("training, encoder of BERT's size", training_epoch, True),
)
