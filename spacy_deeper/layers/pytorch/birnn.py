from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout as drop
from torch.nn.utils.rnn import PackedSequence

from .fast_gru import GRU
from .packing import time_major_order

CELLS: dict[str, Callable[..., nn.RNNBase]] = {"gru": GRU, "lstm": nn.LSTM}


class StackedBiRNN(nn.Module):
    """Bidirectional RNN layers, one on the other, over texts of any length.

    Sequences are packed, so a text's output does not depend on the other texts of its batch.
    Dropout comes before each layer, as in Crone (2020), section 3.4.
    """

    def __init__(self, nI: int, nO: int, depth: int, cell: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            CELLS[cell](nI if i == 0 else nO, nO // 2, bidirectional=True) for i in range(depth)
        )
        self.nO = nO

    def forward(self, rows: Tensor, lengths: Tensor, dropout: float = 0.0) -> Tensor:
        """Encode the texts.

        rows: (N, nI), the tokens of all texts.
        lengths: (B,), tokens per text, on the CPU.
        RETURNS: (N, nO), forward states beside backward states.
        """
        if rows.shape[0] == 0:
            return rows.new_zeros((0, self.nO))
        order, batch_sizes, _ = time_major_order(lengths)
        order = order.to(rows.device)
        data = rows[order]
        for layer in self.layers:
            data = drop(data, dropout, self.training)
            data = layer(PackedSequence(data, batch_sizes))[0].data
        return data[torch.argsort(order)]
