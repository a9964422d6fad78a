from torch import Tensor, cat, nn
from torch.nn.functional import dropout as drop
from torch.nn.functional import embedding, normalize

from .distmult import DistMult
from .ffnn import ACTIVATIONS
from .pair_features import PairFeatures
from .pairs import blocks
from .range_max import RangeMax


class RelationHead(nn.Module):
    """Equations 4 to 6 of Crone (2020), for all ordered pairs of a text's entities at once.

    (5) f_i = FFNN(r1)(g_i)
    (6) s_ij = FFNN(r2)(f_i ∘ f_j ∘ cos(f_i, f_j) ∘ DISTMULT(g_i, g_j)), linear

    The weights of r2 are one matrix over the concatenation, as in the paper; the products with
    its parts are taken apart, so that the concatenation (pairs by 2h + 1 + R) never exists. Pairs
    go through in blocks: without a gradient, what exists at once beside the scores does not grow
    with their number.

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

        entities: (M, p), g of equation 3 for the entities of all texts.
        sizes: (B,), entities per text.
        mentions, tokens: What `PairFeatures` reads, if it is asked for.
        dropout: The rate on the entities, the tokens between them, and the hidden layer.
        RETURNS: (Σ m², R), before any sigmoid: text by text, head by head, tail by tail. Zeros
            where these are the same entity.
        """
        g = drop(entities, dropout, self.training)
        f = self.activation(self.r1(g))
        unit = normalize(f, dim=-1, eps=1e-6)
        h, n_labels = f.shape[-1], len(self.distmult.diagonals)
        head, tail, products = self.r2.weight.split([h, h, 1 + n_labels], dim=1)
        heads, tails = f @ head.T + self.r2.bias, f @ tail.T
        between = None if tokens is None else RangeMax(tokens)
        scores = g.new_zeros((int((sizes**2).sum()), n_labels))
        for pairs in blocks(sizes, g.device):
            cosine = pairs.products(unit, unit.new_ones(1, h))
            distmult = pairs.products(g, self.distmult.diagonals)
            # What does not depend on the direction is computed once for both.
            shared = cat([cosine, distmult], dim=1) @ products.T
            for part in self.features.shared(pairs, mentions, between, dropout):
                shared += part
            for i, j, place in pairs.directions:
                s = shared + embedding(i, heads)
                s += embedding(j, tails)
                for part in self.features.directed(i, j, mentions):
                    s += part
                if self.r3 is not None:
                    s = self.r3(drop(self.activation(s), dropout, self.training))
                scores[place] = s.to(scores.dtype)
        return scores
