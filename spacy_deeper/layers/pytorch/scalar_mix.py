import torch
from torch import Tensor, nn


class ScalarMix(nn.Module):
    """The weighted average of an encoder's layers: gamma · Σ softmax(w)_l · x_l.

    The "weighted averaging layer" of Crone (2020), section 3.1, as Peters et al. (2018),
    equation 1, define it.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(layers))
        self.gamma = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """Mix x (N, L, W) to (N, W)."""
        return self.gamma * torch.einsum("l,nlw->nw", self.weights.softmax(0), x)
