from torch import Tensor, nn
from torch.nn.functional import dropout as drop
from torch.nn.functional import normalize

from .distmult import DistMult
from .ffnn import ACTIVATIONS
from .pair_features import PairFeatures
from .pairs import PairScorer


class RelationHead(PairScorer):
    """Equations 4 to 6 of Crone (2020), for all ordered pairs of a text's entities at once.

    (5) f_i = FFNN(r1)(g_i)
    (6) s_ij = FFNN(r2)(f_i ∘ f_j ∘ cos(f_i, f_j) ∘ DISTMULT(g_i, g_j)), linear

    The weights of r2 are one matrix over the concatenation, as in the paper; the products with
    its four parts are taken apart, so that the concatenation (pairs by 2h + 1 + R) never exists.

    Beyond the paper, if asked for: more features of a pair in the concatenation (`PairFeatures`),
    and a hidden layer in FFNN(r2), s_ij = W(r3) · dropout(activation(r2(...))) + b(r3).
    """

    def __init__(
        self,
        nI: int,
        nO: int,
        hidden_size: int,
        activation: str,
        scorer_hidden: int = 0,
        distance: bool = False,
        nH: int = 0,
        nV: int = 0,
    ) -> None:
        """Make the layers.

        scorer_hidden: The size of the hidden layer of FFNN(r2), or 0 for none.
        distance: Whether the distance of a pair is a feature.
        nH: The width of the states of tokens between a pair, or 0 if they are no feature.
        nV: The number of tags whose types are a feature, or 0 if they are not.
        """
        super().__init__()
        self.distmult = DistMult(nI, nO)
        self.r1 = nn.Linear(nI, hidden_size)
        self.activation = ACTIVATIONS[activation]()
        self.r2 = nn.Linear(2 * hidden_size + 1 + nO, scorer_hidden or nO)
        self.r3 = nn.Linear(scorer_hidden, nO) if scorer_hidden else None
        # Few pairs are related: a fresh model starts from 2% instead of 50%.
        nn.init.constant_((self.r2 if self.r3 is None else self.r3).bias, -4.0)
        self.features = None
        if nH or distance or nV:
            self.features = PairFeatures(scorer_hidden or nO, nH, distance, (nV + 1) // 2)

    def forward(
        self,
        entities: Tensor,
        sizes: Tensor,
        mentions: Tensor | None = None,
        tokens: Tensor | None = None,
        *,
        dropout: float = 0.0,
    ) -> Tensor:
        """Score the pairs of each text.

        mentions, tokens: What `PairFeatures` reads, if it is asked for.
        dropout: The rate on the entities, the tokens between them, and the hidden layer.
        The others, and what is returned, are those of `PairScorer`.
        """
        scores = super().forward(entities, sizes, dropout=dropout)
        if self.features is not None:
            scores = scores + self.features(sizes, mentions, tokens, dropout)
        if self.r3 is not None:
            scores = self.r3(drop(self.activation(scores), dropout, self.training))
        return scores

    def all_pairs(self, g: Tensor) -> Tensor:
        """Apply r2 to every ordered pair of each text: g (B, m, p) to (B, m, m, R)."""
        f = self.activation(self.r1(g))
        unit = normalize(f, dim=-1, eps=1e-6)
        cosine = unit @ unit.transpose(1, 2)
        h, n_labels = f.shape[-1], len(self.distmult.diagonals)
        head, tail, cos, distmult = self.r2.weight.split([h, h, 1, n_labels], dim=1)
        return (
            (f @ head.T)[:, :, None]
            + (f @ tail.T)[:, None, :]
            + cosine[..., None] * cos[:, 0]
            + self.distmult.all_pairs(g) @ distmult.T
            + self.r2.bias
        )
