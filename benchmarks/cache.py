"""How much faster an epoch is when the frozen encoder's outputs are cached.

    python benchmarks/cache.py [DATA.spacy] [CONFIG.cfg]

By default on the sample corpus with its config. An epoch passes over all texts once: through the
frozen encoder alone, and as a whole training epoch does, with updates.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import spacy
from spacy.language import Language
from spacy.training import Corpus, Example
from spacy.util import fix_random_seed, load_config, load_model_from_config, minibatch, registry
from thinc.api import Config, Model

from spacy_deeper.cli.merge_config import merge_configs
from spacy_deeper.layers.cached import frozen_layers
from spacy_deeper.training.formats import FORMATS

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"
BATCH = 8


def main(data: Path | None = None, config_path: Path | None = None) -> None:
    """Print seconds for an epoch, and how many times faster a cached one is."""
    if config_path is None:
        config = merge_configs(CONFIGS / "base.cfg", CONFIGS / "sample.cfg")
    else:
        config = load_config(config_path, interpolate=False)
    for name, epoch in (("encoder alone", encoder_epoch), ("training", training_epoch)):
        with tempfile.TemporaryDirectory() as folder:
            config["paths"]["cache"] = folder
            measure(name, epoch, config, data)


def measure(
    name: str,
    epoch: Callable[[Language, list[Example]], None],
    config: Config,
    data: Path | None,
) -> None:
    """Time the first epoch, the second one, and the first one of the next run."""
    seconds = {}
    nlp, examples = start(config, data)
    seconds["not cached"] = timed(lambda: epoch(nlp, examples))
    seconds["cached in memory"] = timed(lambda: epoch(nlp, examples))
    nlp, examples = start(config, data)
    seconds["cached on disk"] = timed(lambda: epoch(nlp, examples))
    for kind, value in seconds.items():
        ratio = seconds["not cached"] / value
        print(f"{name:>14}, {kind:<17}{value:8.2f} s{ratio:8.1f} times as fast", flush=True)


def start(config: Config, data: Path | None) -> tuple[Language, list[Example]]:
    """Build and initialize the pipeline, and read its data."""
    fix_random_seed(0)
    nlp = load_model_from_config(config, auto_fill=True)
    if data is None:
        docs = FORMATS["markup"].read(ROOT / "assets" / "sample" / "train.txt", spacy.blank("en"))
        examples = [Example(nlp.make_doc(doc.text), doc) for doc in docs]
    else:
        examples = list(Corpus(data)(nlp))
    nlp.initialize(lambda: examples)
    return nlp, examples


def encoder_epoch(nlp: Language, examples: list[Example]) -> None:
    """Run the frozen encoder over all texts."""
    (encoder,) = frozen_layers(nlp)
    for batch in minibatch(examples, BATCH):
        encoder.begin_update([example.predicted for example in batch])


def training_epoch(nlp: Language, examples: list[Example]) -> None:
    """Update on all texts, as `spacy train` does."""
    optimizer = registry.resolve(nlp.config.interpolate()["training"])["optimizer"]
    for batch in minibatch(examples, BATCH):
        nlp.update(batch, sgd=False, drop=0.5)  # type: ignore[arg-type]
        for _, pipe in nlp.pipeline:
            model: Model = pipe.model
            model.finish_update(optimizer)


def timed(function: Callable[[], None]) -> float:
    """Return the seconds that a call takes."""
    begin = perf_counter()
    function()
    return perf_counter() - begin


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
