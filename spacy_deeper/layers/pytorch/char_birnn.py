import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from .birnn import CELLS
from .packing import time_major_order


class CharBiRNN(nn.Module):
    """A word's vector from its characters, after Lample et al. (2016).

    The last state of the forward direction beside the last state of the backward one.
    """

    def __init__(self, rows: int, embed_size: int, nO: int, cell: str) -> None:
        super().__init__()
        self.embed = nn.Embedding(rows, embed_size)
        self.rnn = CELLS[cell](embed_size, nO // 2, bidirectional=True)
        self.nO = nO

    def forward(self, chars: Tensor, lengths: Tensor) -> Tensor:
        """Encode the words.

        chars: (C,), the characters of all words as rows of the embedding table.
        lengths: (W,), characters per word, on the CPU; a word without any gets zeros.
        RETURNS: (W, nO).
        """
        words = self.embed.weight.new_zeros((len(lengths), self.nO))
        if len(chars) == 0:
            return words
        order, batch_sizes, nonempty = time_major_order(lengths)
        packed = PackedSequence(self.embed(chars[order.to(chars.device)]), batch_sizes)
        state = self.rnn(packed)[1]
        last = state[0] if isinstance(state, tuple) else state  # an LSTM's is (hidden, cell)
        both = torch.cat([last[0], last[1]], dim=1)
        words[nonempty.to(chars.device)] = both.to(words.dtype)
        return words
