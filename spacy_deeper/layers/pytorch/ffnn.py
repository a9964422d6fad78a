from torch import Tensor, nn
from torch.nn.functional import dropout as drop

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "linear": nn.Identity,
}


class TwoLayerScorer(nn.Module):
    """Equation 2 of Crone (2020): s = FFNN(e2)(FFNN(e1)(h)), the second layer linear."""

    def __init__(self, nI: int, nO: int, hidden_size: int, activation: str) -> None:
        super().__init__()
        self.e1 = nn.Linear(nI, hidden_size)
        self.activation = ACTIVATIONS[activation]()
        self.e2 = nn.Linear(hidden_size, nO)

    def forward(self, h: Tensor, dropout: float = 0.0) -> Tensor:
        """Score h (N, nI) as (N, nO), with dropout before each layer."""
        hidden = self.activation(self.e1(drop(h, dropout, self.training)))
        return self.e2(drop(hidden, dropout, self.training))
