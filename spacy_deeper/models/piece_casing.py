"""How each word piece is written, for a transformer that reads all in lower case.

It is told as the piece's token type, which models like BERT have an embedding for: type 0 is what
they were trained with, and the types behind it are new, one for each class of
`spacy_deeper.Casing.v1`. They begin as copies of type 0, so that an untrained transformer is as it
was, and are learned with the rest.
"""

from collections.abc import Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from ..errors import Errors
from ..layers.casing import CASINGS, casing

N_TYPES = 1 + len(CASINGS)
NAME = "token_type_embeddings"


def piece_types(texts: Sequence[str], offsets: NDArray[numpy.int64]) -> NDArray[numpy.int64]:
    """Return the type of each word piece, (texts, pieces); 0 for what stands for no text.

    offsets: Where each piece begins and ends in its text, (texts, pieces, 2).
    """
    types = numpy.zeros(offsets.shape[:2], dtype="int64")
    for row, text, spans in zip(types, texts, offsets.tolist(), strict=True):
        row[:] = [1 + casing(text[start:end]) if end > start else 0 for start, end in spans]
    return types


def add_piece_types(transformer: Any) -> None:
    """Make room for the types in a transformer that has those of its pretraining."""
    import torch

    embeddings = getattr(transformer, "embeddings", None)
    old = getattr(embeddings, NAME, None)
    if old is None:
        raise ValueError(Errors.D292.format(name=type(transformer).__name__))
    new = torch.nn.Embedding(N_TYPES, old.embedding_dim)
    with torch.no_grad():
        new.weight.copy_(old.weight[:1].expand_as(new.weight))
    setattr(embeddings, NAME, new.to(old.weight.device))
    transformer.config.type_vocab_size = N_TYPES
