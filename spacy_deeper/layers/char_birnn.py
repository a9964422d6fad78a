from collections.abc import Callable
from functools import partial
from typing import Any

import numpy
from spacy.attrs import ORTH
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model
from thinc.types import Floats2d

from .birnn import CELLS
from .torch_layer import (
    call_module,
    check_choice,
    check_positive,
    check_width,
    shim_of,
    split_rows,
    torch_layer,
)


@registry.layers("spacy_deeper.CharBiRNN.v1")
def CharBiRNN(
    width: int = 64,
    embed_size: int = 32,
    rows: int = 2048,
    max_chars: int = 64,
    cell: str = "gru",
    members: int = 1,
) -> Model[list[Doc], list[Floats2d]]:
    """Embed each token by its characters: t_char of equation 1 (Crone 2020; Lample et al. 2016).

    Each distinct word of a batch is encoded once. A character is the row of its code point
    modulo `rows`: no alphabet has to be learned or saved, and with 2048 rows the common letters of
    Latin, Greek, Cyrillic, Hebrew and Arabic scripts have a row each.

    width (int): Output width, both directions together: twice Table 1's "Character BiRNN Size".
    embed_size (int): The width of a character's embedding.
    rows (int): The size of the embedding table.
    max_chars (int): Only a word's first `max_chars` characters are read.
    cell (str): "gru" or "lstm".
    members (int): How many such networks stand side by side, with a share of the width each: those
        of a committee.
    """
    check_choice("cell", cell, CELLS)
    check_positive(embed_size=embed_size, rows=rows, max_chars=max_chars, members=members)
    check_width("CharBiRNN", width, members)

    return torch_layer(
        "char_birnn",
        partial(build, embed_size=embed_size, cell=cell, members=members),
        forward,
        init=init,
        dims={"nO": width, "nV": rows},
        attrs={"max_chars": max_chars, "members": members},
    )


def build(members: int, **sizes: Any) -> Any:
    from .pytorch.char_birnn import CharBiRNN
    from .pytorch.members import with_members

    return with_members(CharBiRNN, members, ("nO",), **sizes)


def init(model: Model, X: Any = None, Y: Any = None) -> None:
    shim_of(model).build(rows=model.get_dim("nV"), nO=model.get_dim("nO"))


def forward(
    model: Model, docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    import torch

    xp = model.ops.xp
    keys = numpy.concatenate([doc.to_array(ORTH) for doc in docs])
    distinct, index = numpy.unique(keys, return_inverse=True)
    words = [docs[0].vocab.strings[key][: model.attrs["max_chars"]] for key in distinct]
    points = numpy.frombuffer("".join(words).encode("utf-32-le"), dtype="uint32")
    chars = xp.asarray(points.astype("int64") % model.get_dim("nV"))
    lengths = torch.tensor([len(word) for word in words], dtype=torch.int64)
    Y, bp_module = call_module(model, is_train, chars, lengths)
    index = xp.asarray(index)

    def backprop(dYs: list[Floats2d]) -> list[Doc]:
        dY = xp.zeros_like(Y)
        model.ops.scatter_add(dY, index, xp.concatenate(dYs))
        bp_module(dY)
        return []

    return split_rows(model, Y[index], [len(doc) for doc in docs]), backprop
