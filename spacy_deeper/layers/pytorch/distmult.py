import torch
from torch import Tensor, nn

from .pairs import PairScorer


class DistMult(PairScorer):
    """Equation 4 of Crone (2020): DISTMULT_k(g_i, g_j) = g_iᵀ · diag(M_k) · g_j.

    From Yang et al. (2014). Symmetric in i and j. Only the diagonals are stored: M (R, p).
    """

    def __init__(self, nI: int, nO: int) -> None:
        super().__init__()
        self.diagonals = nn.Parameter(torch.empty(nO, nI))
        nn.init.normal_(self.diagonals, std=nI**-0.5)

    def all_pairs(self, g: Tensor) -> Tensor:
        """Score every ordered pair of each text: g (B, m, p) to (B, m, m, R).

        One batched matrix product a relation, never a tensor of pairs by p.
        """
        heads = g[:, None] * self.diagonals[None, :, None, :]  # (B, R, m, p)
        return (heads @ g[:, None].transpose(2, 3)).permute(0, 2, 3, 1)
