import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from .packing import time_major_order

N_CHARS = 261  # 256 bytes, both ends of a text, both ends of a word, padding
ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}

# What goes through at once, to bound memory: words of the CNN, steps of a BiLSTM.
WORDS = 512
STEPS = 128


class Elmo(nn.Module):
    """The bidirectional language model of ELMo (Peters et al. 2018, section 3.1), frozen.

    From the CNN's vector x_k, a token gets L + 1 layers of two directions each:

        h_k,0 = [x_k ; x_k]
        h_k,j = [forward LSTM_j ; backward LSTM_j] + h_k,j-1

    Each direction of an LSTM reads its own half of the layer below; the sum is the skip
    connection, which begins at the second LSTM.
    """

    def __init__(
        self,
        char_dim: int,
        filters: list[list[int]],
        n_highway: int,
        activation: str,
        dim: int,
        projection: int,
        n_layers: int,
        cell_clip: float | None,
        proj_clip: float | None,
        skip: bool,
    ) -> None:
        super().__init__()
        self.cnn = CharCNN(char_dim, filters, n_highway, activation, projection)
        self.lstms = nn.ModuleList(
            BiLSTM(projection, dim, cell_clip, proj_clip) for _ in range(n_layers)
        )
        self.skip = skip
        self.dim, self.projection = dim, projection
        self.states: tuple[Tensor, Tensor] | None = None
        self.requires_grad_(False)

    def forward(
        self, words: Tensor, index: Tensor, lengths: Tensor, stateful: bool = False
    ) -> Tensor:
        """Return the layers of each token.

        words: (W, C), the characters of distinct words.
        index: (N,), the word of each token; the ends of a text are tokens too.
        lengths: (B,), tokens per text, on the CPU.
        stateful: Text i goes on where text i of the last stateful call ended.
        RETURNS: (N, L + 1, 2 · projection), forward beside backward.
        """
        tokens = torch.cat([self.cnn(block) for block in words.split(WORDS)])[index]
        order, batch_sizes, texts = time_major_order(lengths)
        # A row for each direction: the token that it reads at each packed position.
        orders = torch.stack([order, mirrored(lengths)[order]]).to(tokens.device)
        texts = texts.to(tokens.device)
        x = tokens[orders]
        layers = [x]
        states = self._states(tokens, len(lengths), stateful)
        for lstm, h, c in zip(self.lstms, *states, strict=True):
            last = h[:, texts], c[:, texts]
            y = lstm(x, batch_sizes, *last)
            h[:, texts], c[:, texts] = last
            x = y + x if self.skip and len(layers) > 1 else y
            layers.append(x)
        both = zip(torch.stack(layers, dim=2), orders, strict=True)
        return torch.cat([rows[torch.argsort(order)] for rows, order in both], dim=2)

    def _states(self, like: Tensor, n: int, stateful: bool) -> tuple[Tensor, Tensor]:
        """Return the states to go on from, h (L, 2, n, projection) and c (L, 2, n, dim)."""
        if stateful and self.states is not None:
            h, c = self.states
        else:
            h = like.new_zeros((len(self.lstms), 2, 0, self.projection))
            c = like.new_zeros((len(self.lstms), 2, 0, self.dim))
        more = max(0, n - h.shape[2])
        h, c = pad(h, (0, 0, 0, more)), pad(c, (0, 0, 0, more))
        if stateful:
            self.states = h, c  # what is written into the views below stays
        return h[:, :, :n], c[:, :, :n]


class CharCNN(nn.Module):
    """A word's vector from its characters (Kim et al. 2016; Józefowicz et al. 2016).

    Convolutions of several widths, each with the maximum over positions, then highway layers and
    a linear projection.
    """

    def __init__(
        self, char_dim: int, filters: list[list[int]], n_highway: int, activation: str, nO: int
    ) -> None:
        super().__init__()
        size = sum(n for _, n in filters)
        self.embed = nn.Embedding(N_CHARS, char_dim)
        self.convs = nn.ModuleList(nn.Conv1d(char_dim, n, width) for width, n in filters)
        self.activation = ACTIVATIONS[activation]
        self.highways = nn.ModuleList(Highway(size) for _ in range(n_highway))
        self.project = nn.Linear(size, nO)

    def forward(self, words: Tensor) -> Tensor:
        """Encode characters (W, C), to (W, nO)."""
        x = self.embed(words).transpose(1, 2)
        x = torch.cat([self.activation(conv(x).amax(dim=2)) for conv in self.convs], dim=1)
        for highway in self.highways:
            x = highway(x)
        return self.project(x)


class Highway(nn.Module):
    """A highway layer (Srivastava et al. 2015): g · relu(W x + b) + (1 - g) · x.

    The gate is g = sigmoid(W' x + b').
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.transform = nn.Linear(size, size)
        self.gate = nn.Linear(size, size)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (W, size) to (W, size)."""
        return x + torch.sigmoid(self.gate(x)) * (torch.relu(self.transform(x)) - x)


class BiLSTM(nn.Module):
    """Two LSTMs with projected and clipped states, one for each direction (Sak et al. 2014).

        i, g, f, o = W x_t + U h_t-1 + b
        c_t = clip(sigmoid(f) · c_t-1 + sigmoid(i) · tanh(g))
        h_t = clip(P (sigmoid(o) · tanh(c_t)))

    The gates have the order of the published weights. A clip that is None does nothing.
    """

    def __init__(
        self, projection: int, dim: int, cell_clip: float | None, proj_clip: float | None
    ) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.zeros(2, projection, 4 * dim))
        self.recurrent = nn.Parameter(torch.zeros(2, projection, 4 * dim))
        self.bias = nn.Parameter(torch.zeros(2, 1, 4 * dim))
        self.project = nn.Parameter(torch.zeros(2, dim, projection))
        self.cell_clip = cell_clip
        self.proj_clip = proj_clip

    def forward(self, x: Tensor, batch_sizes: Tensor, h: Tensor, c: Tensor) -> Tensor:
        """Encode packed texts, both directions in one loop over time.

        x: (2, N, projection), each direction in the order of its steps.
        batch_sizes: (T,), texts longer than t, on the CPU.
        h, c: (2, B, projection) and (2, B, dim), the longest text first: the states to begin
            with, which become the last ones.
        RETURNS: (2, N, projection).
        """
        y = torch.empty_like(x)
        end = 0
        for sizes in batch_sizes.split(STEPS):
            block = x[:, end : end + int(sizes.sum())]
            gates = torch.baddbmm(self.bias, block, self.input)
            for step in gates.split(sizes.tolist(), dim=1):
                n = step.shape[1]  # texts that are not over: the first ones
                i, g, f, o = torch.baddbmm(step, h[:, :n], self.recurrent).chunk(4, dim=2)
                cell = torch.sigmoid(f) * c[:, :n] + torch.sigmoid(i) * torch.tanh(g)
                c[:, :n] = clip(cell, self.cell_clip)
                state = torch.bmm(torch.sigmoid(o) * torch.tanh(c[:, :n]), self.project)
                h[:, :n] = clip(state, self.proj_clip)
                y[:, end : end + n] = h[:, :n]
                end += n
        return y


def clip(x: Tensor, limit: float | None) -> Tensor:
    """Limit values to [-limit, limit]; a limit of None is none."""
    return x if limit is None else x.clamp(-limit, limit)


def mirrored(lengths: Tensor) -> Tensor:
    """Return, for each row of flat texts, the row at the same distance from its text's other end.

    lengths: (B,), rows per text.
    RETURNS: (N,), its own inverse.
    """
    ends = torch.cumsum(lengths, 0)
    return (2 * ends - lengths - 1).repeat_interleave(lengths) - torch.arange(int(lengths.sum()))
