from torch import Tensor, nn
from torch.nn.functional import normalize

from .distmult import DistMult
from .ffnn import ACTIVATIONS
from .pairs import PairScorer


class RelationHead(PairScorer):
    """Equations 4 to 6 of Crone (2020), for all ordered pairs of a text's entities at once.

    (5) f_i = FFNN(r1)(g_i)
    (6) s_ij = FFNN(r2)(f_i ∘ f_j ∘ cos(f_i, f_j) ∘ DISTMULT(g_i, g_j)), linear

    The weights of r2 are one matrix over the concatenation, as in the paper; the products with
    its four parts are taken apart, so that the concatenation (pairs by 2h + 1 + R) never exists.
    """

    def __init__(self, nI: int, nO: int, hidden_size: int, activation: str) -> None:
        super().__init__()
        self.distmult = DistMult(nI, nO)
        self.r1 = nn.Linear(nI, hidden_size)
        self.activation = ACTIVATIONS[activation]()
        self.r2 = nn.Linear(2 * hidden_size + 1 + nO, nO)
        # Few pairs are related: a fresh model starts from 2% instead of 50%.
        nn.init.constant_(self.r2.bias, -4.0)

    def all_pairs(self, g: Tensor) -> Tensor:
        """Score every ordered pair of each text: g (B, m, p) to (B, m, m, R)."""
        f = self.activation(self.r1(g))
        unit = normalize(f, dim=-1, eps=1e-6)
        cosine = unit @ unit.transpose(1, 2)
        h = f.shape[-1]
        head, tail, cos, distmult = self.r2.weight.split([h, h, 1, self.r2.out_features], dim=1)
        return (
            (f @ head.T)[:, :, None]
            + (f @ tail.T)[:, None, :]
            + cosine[..., None] * cos[:, 0]
            + self.distmult.all_pairs(g) @ distmult.T
            + self.r2.bias
        )
