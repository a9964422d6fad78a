"""Linear and bidirectional recurrent layers with weights of 8 bits, for inference on the CPU.

A weight matrix (nO, nI) is kept as whole numbers Q in [-127, 127] and one scale s for each row:
W ≈ s Q. So is an input, with a scale a for each of *its* rows, found when it comes:

    x ≈ a q        y = W x + b ≈ a s (Q q) + b

Q q is exact. That each row has its own scale keeps what the packed layers promise: a text's output
does not depend on the other texts of its batch. States of an RNN are in (-1, 1): a = 1 / 127.
"""

from abc import abstractmethod
from copy import copy
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ...errors import Errors
from .fast_gru import last_positions, reversed_positions, tanh_
from .int8_product import product, products, reorder, reordered_product

LIMIT = 127
# Rows that are read at once: what is between x and y then stays in the processor's cache.
BLOCK = 256


def quantize_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """RETURNS (Tuple[Tensor, Tensor]): Q, int8 (nO, nI), and s (nO,), of a weight (nO, nI)."""
    scale = weight.detach().float().abs().amax(1).clamp_(min=1e-12) / LIMIT
    return (weight.detach() / scale[:, None]).round_().to(torch.int8), scale


def quantize_inputs(x: Tensor) -> tuple[Tensor, Tensor]:
    """RETURNS (Tuple[Tensor, Tensor]): q, int8 (N, nI), and a, (N, 1), of an input (N, nI).

    x: Of single precision.
    """
    largest = x.abs().amax(1, keepdim=True).clamp_(min=1e-12)
    return torch.mul(x, LIMIT / largest).round_().to(torch.int8), largest.div_(LIMIT)


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
        for x_block, y_block in zip(rows.split(BLOCK), y.split(BLOCK), strict=True):
            self.multiply(*quantize_inputs(x_block), out=y_block)
            if gelu:
                torch.ops.aten.gelu_(y_block)
        return y.reshape(*x.shape[:-1], self.out_features).to(x.dtype)

    def multiply(self, q: Tensor, scale: Tensor, out: Tensor) -> None:
        """Write a s (Q q) + b to out, (N, nO).

        q: int8 (N, nI), which may be overwritten. scale: a, (N, 1).
        """
        reordered = self.reordered()
        if reordered is None:
            y = product(q, self.q_weight).mul_(self.scale)
        else:
            y = reordered_product(q, reordered, self.scale)
        if self.bias is None:
            torch.mul(y, scale, out=out)
        else:
            torch.addcmul(self.bias, y, scale, out=out)

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

    Gates of a direction are G rows of H each. `inputs` has a layer for each direction, from tokens
    to gates; q_weight, int8 (2, G H, H), scale s / 127 and bias, (2, 1, G H), make the other part
    of them from the states before.
    """

    gates: int
    q_weight: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, rnn: nn.RNNBase) -> None:
        super().__init__()
        self.hidden_size = rnn.hidden_size
        w_ih, w_hh, b_ih, b_hh = zip(*rnn.all_weights, strict=True)
        self.inputs = nn.ModuleList()
        for weight, bias in zip(w_ih, b_ih, strict=True):
            linear = nn.Linear(rnn.input_size, self.gates * rnn.hidden_size)
            linear.weight, linear.bias = weight, bias
            self.inputs.append(Int8Linear(linear))
        weights, scales = zip(*map(quantize_rows, w_hh), strict=True)
        self.register_buffer("q_weight", torch.stack(weights))
        self.register_buffer("scale", torch.stack(scales)[:, None] / LIMIT)
        self.register_buffer("bias", torch.stack(b_hh).detach()[:, None])

    @abstractmethod
    def step(self, x: Tensor, h: Tensor, cell: Tensor, out: Tensor) -> Tensor:
        """Write the next states to out, and return the next cells.

        x, h: (2, B, G H), what tokens and states before give to the gates; may be overwritten.
        cell: (2, B, H), the cells before; of a GRU the states.
        out: (2, B, H).
        """

    def forward(self, packed: PackedSequence) -> tuple[PackedSequence, Any]:
        """Return what torch's layer does."""
        data, batch_sizes = packed.data.float(), packed.batch_sizes
        self.check(data)
        H, sizes = self.hidden_size, batch_sizes.tolist()
        reverse = reversed_positions(batch_sizes)
        x = self.from_tokens(data, reverse).split(sizes, dim=1)
        states = data.new_empty((2, len(data), H))
        after = states.split(sizes, dim=1)
        h = cell = data.new_zeros((2, sizes[0], H))
        cells = []
        for t, size in enumerate(sizes):
            q = torch.mul(h[:, :size], LIMIT).round_().to(torch.int8)
            from_h = torch.addcmul(self.bias, products(q, self.q_weight), self.scale)
            cells.append(cell[:, size:])  # of the texts that ended before
            h = after[t]
            cell = self.step(x[t], from_h, cell[:, :size], out=h)
        output = torch.cat([states[0], states[1][reverse]], dim=1)
        final_cells = torch.cat([cell, *reversed(cells)], dim=1)
        return packed._replace(data=output.to(packed.data.dtype)), self.final(
            states[:, last_positions(batch_sizes)], final_cells
        )

    def from_tokens(self, data: Tensor, reverse: Tensor) -> Tensor:
        """Return what tokens give to the gates, (2, N, G H), each direction in its own order.

        Large arrays are few: each is fresh memory, which costs as much as what is done with it.
        """
        q, scale = map(torch.cat, zip(*map(quantize_inputs, data.split(BLOCK)), strict=True))
        both = (q, scale), (q[reverse], scale[reverse])
        gates = data.new_empty((2, len(data), self.gates * self.hidden_size))
        for layer, rows, out in zip(self.inputs, both, gates, strict=True):
            for block in zip(*(part.split(BLOCK) for part in (*rows, out)), strict=True):
                cast(Int8Linear, layer).multiply(*block)
        return gates

    def final(self, h: Tensor, cell: Tensor) -> Any:
        """Return the last states, (2, B, H), as torch's layer does."""
        return h


class Int8GRU(Int8BiRNN):
    """`nn.GRU`: its equations stand in `fast_gru`."""

    gates = 3

    def step(self, x: Tensor, h: Tensor, cell: Tensor, out: Tensor) -> Tensor:
        H = self.hidden_size
        r, z = h[..., : 2 * H].add_(x[..., : 2 * H]).sigmoid_().chunk(2, dim=2)
        n = tanh_(h[..., 2 * H :].mul_(r).add_(x[..., 2 * H :]))
        return torch.lerp(n, cell, z, out=out)


class Int8LSTM(Int8BiRNN):
    """`nn.LSTM`."""

    gates = 4

    def step(self, x: Tensor, h: Tensor, cell: Tensor, out: Tensor) -> Tensor:
        i, f, g, o = x.add_(h).chunk(4, dim=2)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        torch.mul(o.sigmoid(), cell.tanh(), out=out)
        return cell

    def final(self, h: Tensor, cell: Tensor) -> Any:
        return h, cell
