"""A bidirectional GRU layer that is faster on the CPU than torch's, and is the same otherwise.

With h' the state before, the gates and states of `nn.GRU` are

    r = sigmoid(W_ir x + b_ir + W_hr h' + b_hr)     m = W_hn h' + b_hn
    z = sigmoid(W_iz x + b_iz + W_hz h' + b_hz)     n = tanh(W_in x + b_in + r m)
    h = (1 - z) n + z h'

and with dh the gradient of h, those of what is inside of the sigmoid and tanh, and of m and h':

    dn = dh (1 - z) (1 - n²)        dm = dn r        dr = dn m r (1 - r)
    dz = dh (h' - n) z (1 - z)      dh' = dh z + W_hrᵀ dr + W_hzᵀ dz + W_hnᵀ dm

On the CPU torch adds up the gradients of the weights token by token. Here only dh' goes token by
token, both directions at once; what multiplies dh above is there before, and the gradients of the
weights are matrix products over all tokens after, by oneDNN (`linear`).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.rnn import PackedSequence

from ...devices import autocasts
from .linear import ROWS, has_onednn, linear, onednn, reorder

# With fewer units, the steps of inference are too small to be called from Python: with 128, ours
# took 1.4 to 1.6 times as long as torch's on a Zen 4, where MKL is as fast as oneDNN.
UNITS = 256


class GRU(nn.GRU):
    """`nn.GRU` with one bidirectional layer, over packed texts."""

    def forward(  # type: ignore[override]
        self, packed: PackedSequence, hx: Tensor | None = None
    ) -> tuple[PackedSequence, Tensor]:
        """Return what `nn.GRU` does."""
        ours = self.num_layers == 1 and self.bidirectional and self.bias
        sorted_ = packed.unsorted_indices is None and hx is None
        on_cpu = packed.data.device.type == "cpu"
        learns = torch.is_grad_enabled()
        batch_sizes = packed.batch_sizes
        large = self.hidden_size >= UNITS and int(batch_sizes[0]) >= ROWS
        single = packed.data.dtype == self.weight_hh_l0.dtype == torch.float32
        usual = ours and sorted_ and on_cpu and not autocasts()
        if not (usual and (learns or (large and single and has_onednn()))):
            output: tuple[PackedSequence, Tensor] = super().forward(packed, hx)
            return output
        run = FastGRU.apply if learns else predict
        data: Tensor = run(packed.data, batch_sizes, *self.parameters())
        last, H = last_positions(batch_sizes), self.hidden_size
        state = torch.stack([data[last, :H], data[: len(last), H:]])
        return packed._replace(data=data), state


def lengths_of(batch_sizes: Tensor) -> Tensor:
    """Return (B,), the length of each text, the longest first."""
    steps = torch.bincount(batch_sizes)  # [n]: how many steps through time have n texts
    return steps.flip(0).cumsum(0).flip(0)[1:]


def last_positions(batch_sizes: Tensor) -> Tensor:
    """Return (B,), where each text's last token is."""
    lengths = lengths_of(batch_sizes)
    starts = torch.cumsum(batch_sizes, 0) - batch_sizes
    return starts[lengths - 1] + torch.arange(len(lengths))


def reversed_positions(batch_sizes: Tensor) -> Tensor:
    """Return (N,), where the token is that stands as far from its text's other end."""
    starts = torch.cumsum(batch_sizes, 0) - batch_sizes
    steps = torch.repeat_interleave(batch_sizes)
    texts = torch.arange(len(steps)) - starts[steps]
    return starts[lengths_of(batch_sizes)[texts] - 1 - steps] + texts


def positions_before(batch_sizes: Tensor) -> Tensor:
    """Return (N,), where the state before each token is, below a first one of each text."""
    before = torch.cat([batch_sizes[:1], batch_sizes[:-1]])
    shift = torch.repeat_interleave(batch_sizes[0] - before, batch_sizes)
    return torch.arange(len(shift)) + shift


def product(a: Tensor, b: Tensor) -> Tensor:
    """Return a (n, k) by b (k, m)."""
    return linear(a, b.T, None)


def tanh_(x: Tensor) -> Tensor:
    """Return the tanh, in place: on the CPU, torch's own takes three times as long."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


def predict(data: Tensor, batch_sizes: Tensor, *weights: Tensor) -> Tensor:
    """Return the states, (N, 2H), of both directions beside each other."""
    sizes = batch_sizes.tolist()
    reverse = reversed_positions(batch_sizes)
    forwards = predict_one(data, sizes, *weights[:4])
    backwards = predict_one(data[reverse], sizes, *weights[4:])
    return torch.cat([forwards, backwards[reverse]], dim=1)


def predict_one(
    data: Tensor, sizes: list[int], w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
) -> Tensor:
    """Return the states, (N, H), of one direction, in its own order."""
    H = w_hh.shape[1]
    from_x, w_hh = linear(data, w_ih, b_ih), reorder(w_hh, sizes[0])
    rz_x, n_x = from_x[:, : 2 * H].split(sizes), from_x[:, 2 * H :].split(sizes)
    states = data.new_empty((len(data), H))
    after = states.split(sizes)
    h = data.new_zeros((sizes[0], H))
    for t, size in enumerate(sizes):
        h = h[:size]
        from_h = onednn(h, w_hh, b_hh)
        rz = from_h[:, : 2 * H].add_(rz_x[t]).sigmoid_()
        n = tanh_(n_x[t].addcmul_(rz[:, :H], from_h[:, 2 * H :]))
        h = torch.lerp(n, h, rz[:, H:], out=after[t])
    return states


class FastGRU(torch.autograd.Function):
    """The equations above. Arrays of both directions are (2, N, ...), each in its own order.

    Gates stand side by side as m, r, z, n, so that those with the same step are neighbours: m, r
    and z depend on h'; r, z and n on x.
    """

    @staticmethod
    def forward(ctx: Any, data: Tensor, batch_sizes: Tensor, *weights: Tensor) -> Tensor:
        w_ih, w_hh, b_ih, b_hh = zip(weights[:4], weights[4:], strict=True)
        H, sizes = w_hh[0].shape[1], batch_sizes.tolist()
        N, B = len(data), sizes[0]
        reverse = reversed_positions(batch_sizes)
        inputs = data, data[reverse]
        gates = data.new_empty((2, N, 4 * H))
        W = data.new_empty((2, 3 * H, H))  # W_hn, W_hr, W_hz
        for i in range(2):
            gates[i, :, H:] = linear(inputs[i], w_ih[i], b_ih[i])
            gates[i, :, H : 3 * H] += b_hh[i][: 2 * H]
            gates[i, :, :H] = b_hh[i][2 * H :]
            W[i, :H] = w_hh[i][2 * H :]
            W[i, H:] = w_hh[i][: 2 * H]
        states = data.new_empty((2, B + N, H))
        h = states[:, :B].zero_()
        m, r, z, n = (gate.split(sizes, dim=1) for gate in gates.chunk(4, dim=2))
        mrz = gates[..., : 3 * H].split(sizes, dim=1)
        rz = gates[..., H : 3 * H].split(sizes, dim=1)
        after = states[:, B:].split(sizes, dim=1)
        for t, size in enumerate(sizes):
            h = h[:, :size]
            mrz[t].baddbmm_(h, W.transpose(1, 2))
            rz[t].sigmoid_()
            n[t].addcmul_(r[t], m[t]).tanh_()
            h = torch.lerp(n[t], h, z[t], out=after[t])
        ctx.save_for_backward(*inputs, gates, states, W, *w_ih, batch_sizes, reverse)
        return torch.cat([states[0, B:], states[1, B:][reverse]], dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_output: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, gates, states, W, w_1, w_2, batch_sizes, reverse = ctx.saved_tensors
        H, sizes = W.shape[2], batch_sizes.tolist()
        m, r, z, n = gates.chunk(4, dim=2)
        before = states[:, positions_before(batch_sizes)]
        # What dh is to be multiplied with.
        d_gates = torch.empty_like(gates)
        dm, dr, dz, dn = d_gates.chunk(4, dim=2)
        buffer = 1 - z
        torch.mul(n, n, out=dn).neg_().add_(1).mul_(buffer)
        torch.sub(before, n, out=dz).mul_(z).mul_(buffer)
        torch.mul(dn, r, out=dm)
        torch.mul(dm, m, out=dr).mul_(torch.sub(1, r, out=buffer))
        d_states = torch.stack([d_output[:, :H], d_output[reverse, H:]])
        dh = d_states.split(sizes, dim=1)
        d_mrzn = d_gates.unflatten(2, (4, H)).split(sizes, dim=1)
        d_mrz = d_gates[..., : 3 * H].split(sizes, dim=1)
        z_t = z.split(sizes, dim=1)
        for t in reversed(range(len(sizes))):
            d_mrzn[t].mul_(dh[t][:, :, None])
            if t > 0:
                d_before = dh[t - 1][:, : sizes[t]]
                d_before.addcmul_(dh[t], z_t[t]).baddbmm_(d_mrz[t], W)
        d_weights = []
        for i in range(2):
            d_m, d_rz, d_rzn = d_gates[i, :, :H], d_gates[i, :, H : 3 * H], d_gates[i, :, H:]
            d_w = torch.cat([product(d_rz.T, before[i]), product(d_m.T, before[i])])
            d_b = torch.cat([d_rz.sum(0), d_m.sum(0)])
            d_weights += [product(d_rzn.T, inputs[i]), d_w, d_rzn.sum(0), d_b]
        d_data = product(d_gates[1, :, H:], w_2)[reverse].add_(product(d_gates[0, :, H:], w_1))
        return d_data, None, *d_weights
