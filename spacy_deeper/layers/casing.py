from collections.abc import Callable
from functools import lru_cache

import numpy
from spacy.attrs import ORTH
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model
from thinc.types import Floats2d

from .torch_layer import split_rows

CASINGS = (
    "numeric",
    "mostly_numeric",
    "all_lower",
    "all_upper",
    "initial_upper",
    "contains_digit",
    "other",
)


@registry.layers("spacy_deeper.Casing.v1")
def Casing() -> Model[list[Doc], list[Floats2d]]:
    """Embed each token as the one-hot vector of its casing: t_casing of equation 1 (Crone 2020).

    The classes are `CASINGS`, in order. Nothing is learned.
    """
    return Model("casing", forward, dims={"nO": len(CASINGS)})


def forward(
    model: Model, docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    keys = numpy.concatenate([doc.to_array(ORTH) for doc in docs])
    distinct, index = numpy.unique(keys, return_inverse=True)
    strings = docs[0].vocab.strings
    classes = numpy.array([casing(strings[key]) for key in distinct], dtype="int64")
    one_hot = numpy.eye(len(CASINGS), dtype="float32")[classes[index]]
    rows = model.ops.asarray2f(one_hot)
    return split_rows(model, rows, [len(doc) for doc in docs]), lambda dYs: []


@lru_cache(maxsize=100_000)
def casing(word: str) -> int:
    """Return the number of the word's class in `CASINGS`."""
    digits = sum(char.isdigit() for char in word)
    if digits and digits == len(word):
        name = "numeric"
    elif digits > len(word) / 2:
        name = "mostly_numeric"
    elif word.islower():
        name = "all_lower"
    elif word.isupper():
        name = "all_upper"
    elif word[:1].isupper():
        name = "initial_upper"
    elif digits:
        name = "contains_digit"
    else:
        name = "other"
    return CASINGS.index(name)
