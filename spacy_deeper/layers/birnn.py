from collections.abc import Callable
from functools import partial
from typing import Any

from spacy.util import registry
from thinc.api import Model, noop
from thinc.types import Floats2d

from ..errors import Errors
from .torch_layer import (
    call_module,
    check_choice,
    check_positive,
    check_split,
    check_width,
    dropout_attrs,
    dropout_rate,
    shim_of,
    split_rows,
    torch_layer,
)

CELLS = ("gru", "lstm")


@registry.layers("spacy_deeper.BiRNN.v1")
def BiRNN(
    width: int,
    depth: int,
    cell: str = "gru",
    dropout: float | None = None,
    members: int = 1,
    own_input: int | None = None,
    nI: int | None = None,
) -> Model[list[Floats2d], list[Floats2d]]:
    """Encode texts with stacked bidirectional RNN layers (Crone 2020, sections 3.1 to 3.3).

    width (int): The output width, both directions together: twice the "BiRNN size" of the
        paper's Table 1.
    depth (int): The number of layers. 0 is the identity: `width` is then that of the input.
    cell (str): "gru" or "lstm".
    dropout (Optional[float]): Dropout before each layer; None obeys `[training] dropout`.
    members (int): How many stacks of RNNs stand side by side, with a share of the width each: the
        layers of a committee. The paper has 1.
    own_input (Optional[int]): How many of the input's last columns, those of the members'
        characters, the members share out; all of them read the others. None shares all of them
        out, as between the layers of a committee.
    nI (Optional[int]): The input width; found from the data if None.
    """
    check_choice("cell", cell, CELLS)
    check_positive(members=members)
    check_width("BiRNN", width, members)
    if depth < 0:
        raise ValueError(Errors.D204.format(depth=depth))
    if own_input is not None and own_input < 0:
        raise ValueError(Errors.D229.format(own=own_input, width="at least 0"))
    if depth == 0:
        if own_input is not None and members > 1:
            raise ValueError(Errors.D230)
        return noop()

    return torch_layer(
        "birnn",
        partial(build, depth=depth, cell=cell, members=members, own_input=own_input),
        forward,
        init=init,
        dims={"nI": nI, "nO": width},
        attrs={**dropout_attrs(dropout), "members": members, "own_input": own_input},
    )


def build(nI: int, nO: int, members: int, own_input: int | None, **settings: Any) -> Any:
    from .pytorch.birnn import StackedBiRNN
    from .pytorch.members import Members

    if members == 1:
        return StackedBiRNN(nI, nO, **settings)
    own = nI if own_input is None else own_input
    if own > nI:
        raise ValueError(Errors.D229.format(own=own, width=f"at most {nI}, the input's width"))
    check_split("BiRNN", own, members)
    each = nI - own + own // members
    return Members(partial(StackedBiRNN, each, nO // members, **settings), members, own)


def init(model: Model, X: list[Floats2d] | None = None, Y: Any = None) -> None:
    if X and model.has_dim("nI") is None:
        model.set_dim("nI", X[0].shape[1])
    if model.has_dim("nI"):
        shim_of(model).build(nI=model.get_dim("nI"), nO=model.get_dim("nO"))


def forward(
    model: Model, Xs: list[Floats2d], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Floats2d]]]:
    import torch

    sizes = [len(X) for X in Xs]
    lengths = torch.tensor(sizes, dtype=torch.int64)
    Y, bp_module = call_module(
        model, is_train, model.ops.xp.concatenate(Xs), lengths, dropout=dropout_rate(model)
    )

    def backprop(dYs: list[Floats2d]) -> list[Floats2d]:
        dX = bp_module(model.ops.xp.concatenate(dYs))[0]
        return split_rows(model, dX, sizes)

    return split_rows(model, Y, sizes), backprop
