"""Linear and bidirectional recurrent layers with weights of 8 bits, for inference on the CPU.

A weight matrix (nO, nI) is kept as whole numbers Q in [-127, 127] and one scale s for each row:
W ≈ s Q. So is an input, with a scale a for each of *its* rows, found when it comes:

    x ≈ a q        y = W x + b ≈ a s (Q q) + b

Q q is exact. That each row has its own scale keeps what the packed layers promise: a text's output
does not depend on the other texts of its batch. States of an RNN are in (-1, 1): a = 1 / 127.
"""

from abc import abstractmethod
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ...errors import Errors
from .fast_gru import last_positions, reversed_positions, tanh_
from .int8_product import product, reorder, reordered_product

LIMIT = 127
# Rows that are read at once: what is between x and y then stays in the processor's cache.
BLOCK = 256


def quantize_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """RETURNS (Tuple[Tensor, Tensor]): Q, int8 (nO, nI), and s (nO,), of a weight (nO, nI)."""
    scale = weight.detach().float().abs().amax(1).clamp_(min=1e-12) / LIMIT
    return (weight.detach() / scale[:, None]).round_().to(torch.int8), scale


class Int8(nn.Module):
    """A module that can't learn: what it multiplies with are whole numbers."""

    def check(self, x: Tensor) -> None:
        """Complain of a use that makes no sense, or was never tried."""
        if self.training:
            raise ValueError(Errors.D452)
        if x.device.type != "cpu":
            raise ValueError(Errors.D454.format(device=x.device))


class Int8Linear(Int8):
    """`nn.Linear` with weights of 8 bits.

    q_weight: int8 (nO, nI). scale: (nO,). bias: (nO,) or None.
    """

    q_weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight, scale = quantize_rows(linear.weight)
        self.register_buffer("q_weight", weight)
        self.register_buffer("scale", scale)
        bias = None if linear.bias is None else linear.bias.detach().clone()
        self.register_buffer("bias", bias)
        self._reordered: Tensor | None = None

    @classmethod
    def join(cls, *layers: "Int8Linear") -> "Int8Linear":
        """Return one layer for several with the same input and biases: outputs side by side."""
        joined = copy(layers[0])
        joined._buffers = {
            name: torch.cat([getattr(layer, name) for layer in layers]) for name in joined._buffers
        }
        joined.out_features = sum(layer.out_features for layer in layers)
        return joined

    @property
    def weight(self) -> Tensor:
        """The weights in single precision, for those who don't call the layer."""
        return self.q_weight * self.scale[:, None]

    def forward(self, x: Tensor, gelu: bool = False) -> Tensor:
        """Return W x + b: x (..., nI) to (..., nO).

        gelu: Return its GELU, which costs less here, while the numbers are at hand.
        """
        self.check(x)
        rows = x.reshape(-1, self.in_features).float()
        y = rows.new_empty((len(rows), self.out_features))
        reordered = self.reordered()
        for x_block, y_block in zip(rows.split(BLOCK), y.split(BLOCK), strict=True):
            ends = x_block.amax(1, keepdim=True), x_block.amin(1, keepdim=True).neg_()
            largest = torch.maximum(*ends).clamp_(min=1e-12)
            q = torch.mul(x_block, LIMIT / largest).round_().to(torch.int8)
            largest.div_(LIMIT)
            if reordered is None:
                block = product(q, self.q_weight).mul_(self.scale)
            else:
                block = reordered_product(q, reordered, self.scale)
            if self.bias is None:
                torch.mul(block, largest, out=y_block)
            else:
                torch.addcmul(self.bias, block, largest, out=y_block)
            if gelu:
                torch.ops.aten.gelu_(y_block)
        return y.reshape(*x.shape[:-1], self.out_features).to(x.dtype)

    def reordered(self) -> Tensor | None:
        """Return the weights as the processor reads them best, if it does; they are not saved."""
        if self._reordered is None:
            self._reordered = reorder(self.q_weight)
        return self._reordered

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._reordered = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_reordered": None}  # it can't be copied or pickled


class Int8BiRNN(Int8):
    """A bidirectional layer over packed texts, sorted by length, with weights of 8 bits.

    Gates of both directions, G rows of H each, stand below each other: `inputs` makes them from
    the tokens, with both biases; `q_weight`, int8 (2, G H, H), and `scale`, (2, 1, G H), from the
    states before.
    """

    gates: int
    q_weight: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, rnn: nn.RNNBase) -> None:
        super().__init__()
        self.hidden_size = rnn.hidden_size
        w_ih, w_hh, b_ih, b_hh = zip(*rnn.all_weights, strict=True)
        both = nn.Linear(rnn.input_size, 2 * self.gates * rnn.hidden_size)
        both.weight = nn.Parameter(torch.cat(w_ih))
        both.bias = nn.Parameter(torch.cat(b_ih))
        self.inputs = Int8Linear(both)
        weights, scales = zip(*map(quantize_rows, w_hh), strict=True)
        self.register_buffer("q_weight", torch.stack(weights))
        self.register_buffer("scale", torch.stack(scales)[:, None] / LIMIT)
        self.register_buffer("bias", torch.stack(b_hh).detach()[:, None])

    @abstractmethod
    def step(self, x: Tensor, h: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Return the next states and cells.

        x, h: (2, B, G H), what tokens and states before give to the gates; may be overwritten.
        cell: (2, B, H), the cells before; of a GRU the states.
        """

    def forward(self, packed: PackedSequence) -> tuple[PackedSequence, Any]:
        """Return what torch's layer does."""
        data, batch_sizes = packed.data, packed.batch_sizes
        self.check(data)
        H, sizes = self.hidden_size, batch_sizes.tolist()
        reverse = reversed_positions(batch_sizes)
        ahead, back = self.inputs(data).chunk(2, dim=1)
        x = torch.stack([ahead, back[reverse]]).split(sizes, dim=1)
        states = data.new_empty((2, len(data), H))
        after = states.split(sizes, dim=1)
        h = cell = data.new_zeros((2, sizes[0], H))
        cells = []
        for t, size in enumerate(sizes):
            q = torch.mul(h[:, :size], LIMIT).round_().to(torch.int8)
            from_h = torch.stack([product(q[i], self.q_weight[i]) for i in range(2)])
            from_h = torch.addcmul(self.bias, from_h, self.scale)
            h, new = self.step(x[t], from_h, cell[:, :size])
            after[t].copy_(h)
            cells.append(cell[:, size:])  # of the texts that ended before
            cell = new
        output = torch.cat([states[0], states[1][reverse]], dim=1)
        final_cells = torch.cat([cell, *reversed(cells)], dim=1)
        return packed._replace(data=output), self.final(
            states[:, last_positions(batch_sizes)], final_cells
        )

    def final(self, h: Tensor, cell: Tensor) -> Any:
        """Return the last states, (2, B, H), as torch's layer does."""
        return h


class Int8GRU(Int8BiRNN):
    """`nn.GRU`: its equations stand in `fast_gru`."""

    gates = 3

    def step(self, x: Tensor, h: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        H = self.hidden_size
        r, z = x[..., : 2 * H].add_(h[..., : 2 * H]).sigmoid_().chunk(2, dim=2)
        n = tanh_(x[..., 2 * H :].addcmul_(r, h[..., 2 * H :]))
        h = torch.lerp(n, cell, z)
        return h, h


class Int8LSTM(Int8BiRNN):
    """`nn.LSTM`."""

    gates = 4

    def step(self, x: Tensor, h: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        i, f, g, o = x.add_(h).chunk(4, dim=2)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        return o.sigmoid() * cell.tanh(), cell

    def final(self, h: Tensor, cell: Tensor) -> Any:
        return h, cell
