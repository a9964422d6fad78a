"""How much faster a pipeline is on the CPU with weights of 8 bits or in bfloat16; what it loses."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spacy.language import Language
from spacy.util import load_model, minibatch

from spacy_deeper.devices import bf16, has_bf16
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
included. bf16 is the pipeline in single precision, its products in bfloat16, if the processor has
it. Texts are sorted by length."""
SCORES = ("ents_micro_f", "rel_micro_f")
LOSS = """F1 in percent on the texts to read, the points of it that are lost, and megabytes of the
saved pipeline."""


def run(setup: Setup) -> list[Table]:
    """Measure a pipeline in each precision, and how it scores."""
    with TemporaryDirectory() as folder:
        setup.frozen.to_disk(folder)
        quantized = load_model(folder)
    quantize(quantized)
    precisions = {"fp32": (setup.frozen, False), "int8": (quantized, False)}
    if has_bf16():
        precisions["bf16"] = setup.frozen, True
    texts = sorted((doc.text for doc in setup.docs), key=len)
    functions = {ALONE: bare_encoder(setup.frozen, texts)}
    for part, of in (("encoder", encoder_layer), ("pipeline", piped)):
        for name, (nlp, in_bf16) in precisions.items():
            functions[f"{part}, {name}"] = partial(call, of(nlp, texts), in_bf16)
    n_words = sum(len(setup.frozen.make_doc(text)) for text in texts)
    tables = []
    for number in setup.threads:
        with threads(number):
            seconds = setup.timer.compare(functions)
        rows = [[name, n_words / s, seconds[ALONE] / s] for name, s in seconds.items()]
        columns = ["", "words per second", "times the encoder alone"]
        tables.append(Table(f"Lower precision, {number} thread(s)", columns, rows, SPEED))
    found = {
        name: call(partial(scores, setup, nlp), in_bf16)
        for name, (nlp, in_bf16) in precisions.items()
    }
    rows = [
        [name, ents, found["fp32"][0] - ents, rel, found["fp32"][1] - rel, megabytes(nlp)]
        for (name, (ents, rel)), (nlp, _) in zip(found.items(), precisions.values(), strict=True)
    ]
    columns = [
        "numbers",
        "entities, F1",
        "entities, lost",
        "relations, F1",
        "relations, lost",
        "on disk, MB",
    ]
    return [*tables, Table("What lower precision costs", columns, rows, LOSS)]


def call(function: Callable[[], Any], in_bf16: bool) -> Any:
    """Call a function, in bfloat16 if that is wanted."""
    with bf16(in_bf16):
        return function()


def encoder_layer(nlp: Language, texts: list[str]) -> Callable[[], Any]:
    """Return what the encoder in a pipeline does with the texts."""
    (frozen,) = frozen_layers(nlp)
    batches = list(minibatch(map(nlp.make_doc, texts), nlp.batch_size))
    return lambda: [frozen.layers[0].predict(batch) for batch in batches]


def scores(setup: Setup, nlp: Language) -> list[float]:
    """Return micro F1 of entities and of relations, in percent."""
    found = nlp.evaluate(examples_of(nlp, setup.docs))
    return [found[name] * 100 for name in SCORES]


def megabytes(nlp: Language) -> float:
    """Return the size of the pipeline on disk."""
    with TemporaryDirectory() as folder:
        nlp.to_disk(folder)
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 1e6
