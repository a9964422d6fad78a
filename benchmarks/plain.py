"""The same network as a plain PyTorch program: what training costs at least.

Embeddings are computed before. What remains are the shared, NER and RE BiGRUs, packed, the CRF of
pytorch-crf, the relation head (equations 2 to 6 of Crone 2020), one loss, and torch's NAdam.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, dropout, normalize
from torch.nn.utils.rnn import (
    PackedSequence,
    pack_padded_sequence,
    pad_packed_sequence,
    pad_sequence,
)
from torchcrf import CRF


@dataclass
class Text:
    """A text of n tokens and m entities.

    embedding: (n, w). tags: (n,). last, last_tags: (m,), each entity's last token, and its tag.
    relations: (m, m, R), 1 where there is one.
    """

    embedding: Tensor
    tags: Tensor
    last: Tensor
    last_tags: Tensor
    relations: Tensor


@dataclass
class Sizes:
    """What the network is built of: widths, depths, and numbers of labels."""

    embedding: int
    width: int
    shared_depth: int
    ner_depth: int
    re_depth: int
    n_tags: int
    n_relations: int
    hidden: int = 64
    label: int = 25
    relation_hidden: int = 128


class Network(nn.Module):
    """The network, from embeddings to one loss."""

    def __init__(self, sizes: Sizes, drop: float = 0.35, relation_drop: float = 0.5) -> None:
        super().__init__()
        width, R = sizes.width, sizes.n_relations
        self.shared = gru(sizes.embedding, width, sizes.shared_depth, drop)
        self.ner = gru(width, width, sizes.ner_depth, drop)
        self.re = gru(width, width, sizes.re_depth, drop)
        self.drop, self.relation_drop = drop, relation_drop
        self.e1, self.e2 = nn.Linear(width, sizes.hidden), nn.Linear(sizes.hidden, sizes.n_tags)
        self.crf = CRF(sizes.n_tags, batch_first=True)
        self.labels = nn.Embedding(sizes.n_tags, sizes.label)
        g = width + sizes.label
        self.diagonals = nn.Parameter(torch.randn(R, g) * g**-0.5)
        self.r1 = nn.Linear(g, sizes.relation_hidden)
        self.r2 = nn.Linear(2 * sizes.relation_hidden + 1 + R, R)

    def forward(self, batch: list[Text]) -> Tensor:
        """Return the loss of a batch: that of the tags, and 5 times that of the relations."""
        packed = pack_padded_sequence(
            pad_sequence([text.embedding for text in batch], batch_first=True),
            torch.tensor([len(text.embedding) for text in batch]),
            batch_first=True,
            enforce_sorted=False,
        )
        shared = self.encode(self.shared, packed)
        return self.tag_loss(batch, shared) + 5 * self.relation_loss(batch, shared)

    def encode(self, layers: nn.GRU, packed: PackedSequence) -> PackedSequence:
        """Run BiGRU layers, with dropout before the first."""
        data = dropout(packed.data, self.drop, self.training)
        result: PackedSequence = layers(packed._replace(data=data))[0]
        return result

    def tag_loss(self, batch: list[Text], shared: PackedSequence) -> Tensor:
        """Return the negative log-likelihood of the tags, a mean over tokens."""
        states, lengths = pad_packed_sequence(self.encode(self.ner, shared), batch_first=True)
        emissions = self.e2(torch.tanh(self.e1(states)))
        mask = torch.arange(states.shape[1])[None] < lengths[:, None]
        tags = pad_sequence([text.tags for text in batch], batch_first=True)
        return -self.crf(emissions, tags, mask) / mask.sum()

    def relation_loss(self, batch: list[Text], shared: PackedSequence) -> Tensor:
        """Return the cross-entropy, a mean over all ordered pairs and labels."""
        states, _ = pad_packed_sequence(self.encode(self.re, shared), batch_first=True)
        numbers = torch.tensor([len(text.last) for text in batch])
        m = int(numbers.max())
        if m == 0:
            return states.new_zeros(())
        last = pad_sequence([text.last for text in batch], batch_first=True)
        tags = pad_sequence([text.last_tags for text in batch], batch_first=True)
        words = states.gather(1, last[..., None].expand(-1, -1, states.shape[2]))
        g = dropout(torch.cat([words, self.labels(tags)], 2), self.relation_drop, self.training)
        f = torch.relu(self.r1(g))
        unit = normalize(f, dim=-1)
        cosine = (unit @ unit.transpose(1, 2))[..., None]
        distmult = torch.einsum("bip,rp,bjp->bijr", g, self.diagonals, g)
        heads, tails = (x.expand(-1, m, m, -1) for x in (f[:, :, None], f[:, None]))
        scores = self.r2(torch.cat([heads, tails, cosine, distmult], dim=3))
        known = torch.arange(m)[None] < numbers[:, None]
        pairs = known[:, :, None] & known[:, None] & ~torch.eye(m, dtype=torch.bool)
        truth = torch.zeros_like(scores)
        for row, text in zip(truth, batch, strict=True):
            row[: len(text.last), : len(text.last)] = text.relations
        if not pairs.any():
            return states.new_zeros(())
        return binary_cross_entropy_with_logits(scores[pairs], truth[pairs])


def gru(n_in: int, width: int, depth: int, drop: float) -> nn.GRU:
    """Return bidirectional layers, with dropout between them."""
    between = drop if depth > 1 else 0.0
    return nn.GRU(n_in, width // 2, depth, batch_first=True, dropout=between, bidirectional=True)


def training_epoch(network: Network, texts: list[Text], size: int) -> Callable[[], None]:
    """Return what updates on all texts once; it can be called again."""
    optimizer = torch.optim.NAdam(network.parameters(), lr=5e-4)

    def epoch() -> None:
        network.train()
        for i in range(0, len(texts), size):
            optimizer.zero_grad()
            network(texts[i : i + size]).backward()
            optimizer.step()

    return epoch
