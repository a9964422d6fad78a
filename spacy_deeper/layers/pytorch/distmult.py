import torch
from torch import Tensor, nn

from .packing import pad


class DistMult(nn.Module):
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

    def forward(self, entities: Tensor, sizes: Tensor, dropout: float = 0.0) -> Tensor:
        """Score the pairs of each text.

        entities: (M, p), the entities of all texts.
        sizes: (B,), entities per text.
        RETURNS: (Σ m², R): text by text, head by head, tail by tail; i = j included.
        """
        g, mask = pad(nn.functional.dropout(entities, dropout, self.training), sizes)
        return self.all_pairs(g)[mask[:, :, None] & mask[:, None, :]]
