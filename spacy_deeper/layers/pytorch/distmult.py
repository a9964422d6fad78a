import torch
from torch import Tensor, nn
from torch.nn.functional import dropout as drop

from .pairs import blocks


class DistMult(nn.Module):
    """Equation 4 of Crone (2020): DISTMULT_k(g_i, g_j) = g_iᵀ · diag(M_k) · g_j.

    From Yang et al. (2014). Symmetric in i and j. Only the diagonals are stored: M (R, p).
    """

    def __init__(self, nI: int, nO: int) -> None:
        super().__init__()
        self.diagonals = nn.Parameter(torch.empty(nO, nI))
        nn.init.normal_(self.diagonals, std=nI**-0.5)

    def forward(self, entities: Tensor, sizes: Tensor, *, dropout: float = 0.0) -> Tensor:
        """Score the pairs of each text.

        entities: (M, p), g of equation 3 for the entities of all texts.
        sizes: (B,), entities per text.
        dropout: The rate on the entities.
        RETURNS: (Σ m², R), before any sigmoid: text by text, head by head, tail by tail. Zeros
            where these are the same entity.
        """
        g = drop(entities, dropout, self.training)
        scores = g.new_zeros((int((sizes**2).sum()), len(self.diagonals)))
        for pairs in blocks(sizes, g.device):
            products = pairs.products(g, self.diagonals).to(scores.dtype)  # half, in autocast
            scores[pairs.there] = scores[pairs.back] = products
        return scores
