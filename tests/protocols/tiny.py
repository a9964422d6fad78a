"""A config that trains in a second, and data for it."""

from pathlib import Path

from pipeline.joint import JOINT
from thinc.api import Config

from spacy_deeper.training.convert import convert

SAMPLE = Path(__file__).parents[2] / "assets" / "sample"

TRAINING = """
[paths]
train = null
dev = null

[system]
seed = 0

[corpora]

[corpora.train]
@readers = "spacy.Corpus.v1"
path = ${paths.train}

[corpora.dev]
@readers = "spacy.Corpus.v1"
path = ${paths.dev}

[training]
seed = ${system.seed}
train_corpus = "corpora.train"
dev_corpus = "corpora.dev"
dropout = 0.1
patience = 1
max_epochs = 2
max_steps = 0
eval_frequency = 1

[training.score_weights]
ents_micro_f = 0.5
rel_micro_f = 0.5

[training.batcher]
@batchers = "spacy.batch_by_sequence.v1"
size = 3

[training.logger]
@loggers = "spacy.ConsoleLogger.v1"
progress_bar = true

[training.optimizer]
@optimizers = "Adam.v1"

[training.optimizer.learn_rate]
@schedules = "warmup_linear.v1"
initial_rate = 0.03
warmup_steps = 100
total_steps = 1000
"""


def tiny_config(**overrides):
    """Return the config, not interpolated, with changes such as `training__max_epochs=3`."""
    text = JOINT
    for task in ("shared", "ner", "re"):
        text = text.replace(f"vars.{task}}}", f"vars.{task}_depth}}")
        text = text.replace(f"\n{task} = ", f"\n{task}_depth = ")
    overrides = {name.replace("__", "."): value for name, value in overrides.items()}
    return Config().from_str(text + TRAINING, overrides=overrides, interpolate=False)


def write_sample(path, name="train", n=None):
    """Write the first docs of a part of the sample to a `.spacy` file."""
    records = (SAMPLE / f"{name}.txt").read_text().split("\n\n")
    markup = path.with_suffix(".txt")
    markup.write_text("\n\n".join(records[:n]) + "\n")
    return convert(markup, path).path
