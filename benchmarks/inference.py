"""Words per second of `nlp.pipe`, beside the encoder's own forward pass and spaCy's `ner`."""

from collections.abc import Callable
from typing import Any

import numpy
import torch
from spacy.language import Language

from spacy_deeper.layers.cached import frozen_layers
from spacy_deeper.models.frozen_transformer import CHUNK

from .data import texts_of
from .pipelines import spacy_ner
from .report import Table
from .setup import Setup
from .timing import threads

LENGTHS = (10, 100, 1_000, 10_000)
WORDS = 3_000

OURS, PLAIN, ENCODER, SPACY = "ours", "ours, no encoder", "encoder alone", "spaCy ner"
NOTE = """Words per second of `nlp.pipe`, tokenizer included, of texts sorted by length. `encoder
alone` is the forward pass of the frozen encoder, as its library makes it, on the same word pieces
in batches of one length: the floor. `spaCy ner` is `transformer` and `ner` on the same encoder."""


def run(setup: Setup) -> list[Table]:
    """Measure the texts as they are, and cut to some lengths."""
    other, _ = spacy_ner(setup.config, setup.train_docs)
    texts = {"as they are": sorted((doc.text for doc in setup.docs), key=len)}
    for length in LENGTHS[:2] if setup.quick else LENGTHS:
        texts[f"{length:,} tokens"] = texts_of(setup.docs, length, 200 if setup.quick else WORDS)
    systems = [OURS, PLAIN, ENCODER, SPACY]
    columns = ["documents", "words", *systems, "ours / encoder", "ours / spaCy"]
    tables = []
    for number in setup.threads:
        rows = [measure(setup, other, number, name, some) for name, some in texts.items()]
        tables.append(Table(f"Inference, {number} thread(s)", columns, rows, NOTE))
    return tables


def measure(setup: Setup, other: Language, number: int, name: str, texts: list[str]) -> list[Any]:
    """Return a row of the table."""
    n_words = sum(len(setup.frozen.make_doc(text)) for text in texts)
    functions = {
        OURS: piped(setup.frozen, texts),
        PLAIN: piped(setup.bare, texts),
        ENCODER: encoded(setup.frozen, texts),
        SPACY: piped(other, texts),
    }
    with threads(number):
        seconds = setup.timer.compare(functions)
    ratios = [seconds[ENCODER] / seconds[OURS], seconds[SPACY] / seconds[OURS]]
    return [name, n_words, *(n_words / seconds[key] for key in functions), *ratios]


def piped(nlp: Language, texts: list[str]) -> Callable[[], Any]:
    """Return what processes the texts."""
    return lambda: list(nlp.pipe(texts))


def encoded(nlp: Language, texts: list[str]) -> Callable[[], Any]:
    """Return the forward pass of a frozen encoder, untouched by us, on the texts' word pieces.

    Word pieces are made before. As in the pipeline, batches are sorted and have as much padding.
    """
    (frozen,) = frozen_layers(nlp)
    transformer = frozen.layers[0].get_ref("transformer")
    spans = transformer.attrs["get_spans"]([nlp.make_doc(text) for text in texts])
    windows = [span.text for of_doc in spans for span in of_doc]
    limit = transformer.tokenizer.model_max_length
    pieces = transformer.tokenizer(windows, truncation=True, max_length=limit)["input_ids"]
    batches = [padded(batch) for batch in batched(sorted(pieces, key=len, reverse=True))]
    encoder = type(transformer.transformer)(transformer.transformer.config)
    encoder.load_state_dict(transformer.transformer.state_dict())
    encoder.eval()

    def forward() -> None:
        with torch.inference_mode():
            for ids, mask in batches:
                encoder(input_ids=ids, attention_mask=mask)

    return forward


def batched(rows: list[list[int]]) -> list[list[list[int]]]:
    """Cut rows, sorted by length, into batches of at most `CHUNK` word pieces, padded."""
    batches: list[list[list[int]]] = []
    for row in rows:
        if not batches or (len(batches[-1]) + 1) * len(batches[-1][0]) > CHUNK:
            batches.append([])
        batches[-1].append(row)
    return batches


def padded(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows as one array, and its mask."""
    ids = numpy.zeros((len(rows), max(map(len, rows))), dtype="int64")
    mask = numpy.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return torch.from_numpy(ids), torch.from_numpy(mask)
