"""Words per second of `nlp.pipe`, beside the encoder's own forward pass and spaCy's `ner`."""

from typing import Any

from spacy.language import Language

from .data import texts_of
from .encoder import bare_encoder, piped
from .pipelines import spacy_ner
from .report import Table
from .setup import Setup
from .timing import threads

LENGTHS = (10, 100, 1_000, 10_000)
WORDS = 3_000

OURS, PLAIN, ENCODER, SPACY = "ours", "ours, no encoder", "encoder alone", "spaCy ner"
NOTE = """Words per second of `nlp.pipe`, tokenizer included, of texts sorted by length. `encoder
alone` is the forward pass of the frozen encoder, as its library makes it, on the same word pieces
in the same batches. `spaCy ner` is `transformer` and `ner` on the same encoder."""


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
        ENCODER: bare_encoder(setup.frozen, texts),
        SPACY: piped(other, texts),
    }
    with threads(number):
        seconds = setup.timer.compare(functions)
    ratios = [seconds[ENCODER] / seconds[OURS], seconds[SPACY] / seconds[OURS]]
    return [name, n_words, *(n_words / seconds[key] for key in functions), *ratios]
