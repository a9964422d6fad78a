"""Documents of given lengths and numbers of entities, out of real texts."""

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import numpy
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from thinc.api import Model

from spacy_deeper.layers.pairs import EntitiesT
from spacy_deeper.training.formats import FORMATS

SAMPLE = Path(__file__).parents[1] / "assets" / "sample" / "train.txt"


def read_docs(path: Path | None, vocab_of: Language | None = None) -> list[Doc]:
    """Read annotated docs of a .spacy file, or of the sample corpus if there is none."""
    nlp = vocab_of or spacy.blank("en")
    if path is None:
        return list(FORMATS["markup"].read(SAMPLE, nlp))
    return list(DocBin().from_disk(path).get_docs(nlp.vocab))


def texts_of(docs: list[Doc], n_tokens: int, n_words: int) -> list[str]:
    """Return texts of `n_tokens` tokens each, of at least `n_words` words together.

    The docs are joined, over and over, and cut.
    """
    nlp = spacy.blank("en")
    pieces = cycle(nlp.make_doc(doc.text + " ") for doc in docs if len(doc))
    texts = []
    tokens: list[str] = []
    while len(texts) * n_tokens < n_words:
        while len(tokens) < n_tokens:
            tokens += [token.text_with_ws for token in next(pieces)]
        texts.append("".join(tokens[:n_tokens]).strip())
        tokens = tokens[n_tokens:]
    return texts


def with_entities(nlp: Language, docs: list[Doc], n_entities: int) -> Doc:
    """Return a doc with so many entities, one of three tokens; their labels take turns."""
    (text,) = texts_of(docs, 3 * n_entities, 1)
    doc = nlp.make_doc(text)
    labels = cycle(entity_labels(nlp))
    starts = range(0, min(3 * n_entities, len(doc)), 3)
    doc.set_ents([Span(doc, start, start + 1, next(labels)) for start in starts])
    return doc


def head_input(head: Model, n_entities: int) -> EntitiesT:
    """Return what a relation head reads of a doc with so many entities, one of three tokens."""
    rng = numpy.random.default_rng(0)
    entities = rng.normal(size=(n_entities, head.get_dim("nI"))).astype("f")
    if not head.attrs.get("pair_features"):
        return entities, [n_entities]
    first = 3 * numpy.arange(n_entities)
    mentions = numpy.stack([first, first, numpy.zeros_like(first)], axis=1)
    width = head.get_dim("nH") if "nH" in head.dim_names else 1
    tokens = rng.normal(size=(3 * n_entities, width)).astype("f")
    return entities, [n_entities], mentions, tokens


def entity_labels(nlp: Language) -> Iterator[str]:
    """Return the entity labels that the relations of a pipeline know."""
    return nlp.get_pipe("relation_scorer").entity_labels
