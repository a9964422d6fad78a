"""Words per second of training, beside plain PyTorch and spaCy's `ner`."""

from typing import Any

import numpy
import torch
from spacy.language import Language
from spacy.training import Example

from spacy_deeper.devices import has_bf16
from spacy_deeper.layers.cached import frozen_layers
from spacy_deeper.pipeline.gold_entities import GoldEntities
from spacy_deeper.schemes import OUTSIDE, bio

from . import plain
from .pipelines import fine_tuned, mixed, spacy_ner, start, training_epoch
from .report import Table
from .setup import Setup
from .timing import threads

SIZES = (2, 8)
NOTES = {
    "plain": """Words per second of an epoch. `ours`: the frozen encoder's outputs are cached.
`plain`: the same network as a PyTorch program with packed sequences (`benchmarks/plain.py`), whose
embeddings are computed before and not learned. The ratio is that of an epoch's seconds.""",
    "encoder": """Words per second of an epoch, batches of 8. `cached`, `not cached`: ours with a
frozen encoder. `fine-tuned`: ours with an encoder that is trained, and in mixed precision, which
is bfloat16 on a CPU that has it. `spaCy ner`: `transformer` and
`ner`, which train the same encoder.""",
}


def run(setup: Setup) -> list[Table]:
    """Measure training with a frozen encoder, and with one that is trained."""
    docs = setup.train_docs
    cached = start(setup.config, docs)
    tables = []
    for number in setup.threads:
        with threads(number):
            rows = [against_plain(setup, *cached, size) for size in SIZES]
        columns = ["batch", "ours", "plain", "seconds, ours / plain"]
        title = f"Training on a frozen encoder, {number} thread(s)"
        tables.append(Table(title, columns, rows, NOTES["plain"]))
    forgetful = start(setup.config, docs)
    for layer in frozen_layers(forgetful[0]):
        layer.cache.max_bytes = 0
    systems = {
        "cached": cached,
        "not cached": forgetful,
        "fine-tuned": start(fine_tuned(setup.config), docs),
        **({"fine-tuned, mixed": start(mixed(setup.config), docs)} if has_bf16() else {}),
        "spaCy ner": spacy_ner(setup.config, docs),
    }
    for number in setup.threads:
        with threads(number):
            row = epochs(setup, systems)
        columns = [*systems, "fine-tuned / spaCy"]
        title = f"Training and the encoder, {number} thread(s)"
        tables.append(Table(title, columns, [row], NOTES["encoder"]))
    return tables


def against_plain(setup: Setup, nlp: Language, examples: list[Example], size: int) -> list[Any]:
    """Return a row of the first table."""
    texts = [plain_text(nlp, example) for example in examples]
    torch.manual_seed(0)
    network = plain.Network(plain_sizes(nlp, texts))
    seconds = setup.timer.compare(
        {
            "ours": training_epoch(nlp, examples, size),
            "plain": plain.training_epoch(network, texts, size),
        }
    )
    n_words = n_words_of(examples)
    speeds = [n_words / seconds[name] for name in ("ours", "plain")]
    return [size, *speeds, seconds["ours"] / seconds["plain"]]


def epochs(setup: Setup, systems: dict[str, tuple[Language, list[Example]]]) -> list[Any]:
    """Return the row of the second table."""
    functions = {name: training_epoch(*system) for name, system in systems.items()}
    seconds = setup.timer.compare(functions)
    n_words = n_words_of(systems["cached"][1])
    speeds = [n_words / seconds[name] for name in systems]
    return [*speeds, seconds["spaCy ner"] / seconds["fine-tuned"]]


def n_words_of(examples: list[Example]) -> int:
    """Return the number of tokens that are trained with."""
    return sum(len(example.predicted) for example in examples)


def plain_text(nlp: Language, example: Example) -> plain.Text:
    """Return what plain PyTorch trains with: the embedding, and the same gold."""
    doc = example.predicted
    embed = nlp.get_pipe("tok2vec").model.layers[0]
    gold = GoldEntities(example)
    tagger, scorer = nlp.get_pipe("crf_ner"), nlp.get_pipe("relation_scorer")
    rows = scorer._entities(gold.spans, gold)
    relations = torch.zeros(len(rows), len(rows), len(scorer.labels))
    for head, tail, label in gold.relations:
        relations[head, tail, scorer.labels.index(label)] = 1
    tags = numpy.maximum(tagger._gold_tags(example), OUTSIDE)
    arrays = [embed.predict([doc])[0], tags, rows[:, 0], rows[:, 1]]
    return plain.Text(*(torch.from_numpy(numpy.array(array)) for array in arrays), relations)


def plain_sizes(nlp: Language, texts: list[plain.Text]) -> plain.Sizes:
    """Return the sizes of the network that is in a pipeline."""
    tagger: Any = nlp.get_pipe("crf_ner")
    sizes = nlp.config.interpolate()["components"]
    depths = {
        "shared_depth": sizes["tok2vec"]["model"]["encode"]["depth"],
        "ner_depth": sizes["crf_ner"]["model"]["encode"]["depth"],
        "re_depth": sizes["relation_scorer"]["model"]["encode"]["depth"],
    }
    return plain.Sizes(
        embedding=texts[0].embedding.shape[1],
        width=sizes["tok2vec"]["model"]["encode"]["width"],
        n_tags=bio.n_tags(len(tagger.labels)),
        n_relations=texts[0].relations.shape[2],
        **depths,
    )
