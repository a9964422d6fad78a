"""How much faster a quantized pipeline is on the CPU, and what it loses."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spacy.language import Language
from spacy.util import load_model, minibatch

from spacy_deeper.layers.cached import frozen_layers
from spacy_deeper.quantization import quantize

from .encoder import bare_encoder, piped
from .pipelines import examples_of
from .report import Table
from .setup import Setup
from .timing import threads

ALONE = "encoder alone"
SPEED = """`encoder alone` is the forward pass of the frozen encoder in single precision, as its
library makes it, on ready-made word pieces of the texts, in the batches of the pipeline. `encoder`
is that layer of the pipeline, with word pieces and pooling, and `pipeline` is `nlp.pipe`, tokenizer
included. Texts are sorted by length."""
SCORES = ("ents_micro_f", "rel_micro_f")
LOSS = "F1 on the texts to read, and megabytes of the saved pipeline."


def run(setup: Setup) -> list[Table]:
    """Measure both pipelines, and how they score."""
    with TemporaryDirectory() as folder:
        setup.frozen.to_disk(folder)
        pipelines = {"fp32": setup.frozen, "int8": load_model(folder)}
    quantize(pipelines["int8"])
    texts = sorted((doc.text for doc in setup.docs), key=len)
    functions = {ALONE: bare_encoder(setup.frozen, texts)}
    for name, nlp in pipelines.items():
        functions[f"encoder, {name}"] = encoder_layer(nlp, texts)
    for name, nlp in pipelines.items():
        functions[f"pipeline, {name}"] = piped(nlp, texts)
    n_words = sum(len(setup.frozen.make_doc(text)) for text in texts)
    tables = []
    for number in setup.threads:
        with threads(number):
            seconds = setup.timer.compare(functions)
        rows = [[name, n_words / s, seconds[ALONE] / s] for name, s in seconds.items()]
        columns = ["", "words per second", "times the encoder alone"]
        tables.append(Table(f"Weights of 8 bits, {number} thread(s)", columns, rows, SPEED))
    rows = [[name, *scores(setup, nlp), megabytes(nlp)] for name, nlp in pipelines.items()]
    columns = ["weights", "entities, F1", "relations, F1", "on disk, MB"]
    return [*tables, Table("What weights of 8 bits cost", columns, rows, LOSS)]


def encoder_layer(nlp: Language, texts: list[str]) -> Callable[[], Any]:
    """Return what the encoder in a pipeline does with the texts."""
    (frozen,) = frozen_layers(nlp)
    batches = list(minibatch(map(nlp.make_doc, texts), nlp.batch_size))
    return lambda: [frozen.layers[0].predict(batch) for batch in batches]


def scores(setup: Setup, nlp: Language) -> list[float]:
    """Return micro F1 of entities and of relations."""
    found = nlp.evaluate(examples_of(nlp, setup.docs))
    return [found[name] for name in SCORES]


def megabytes(nlp: Language) -> float:
    """Return the size of the pipeline on disk."""
    with TemporaryDirectory() as folder:
        nlp.to_disk(folder)
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 1e6
