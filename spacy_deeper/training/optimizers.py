from typing import Any

from spacy.util import registry
from thinc.api import Optimizer
from thinc.types import Generator

FloatOrSeq = float | list[float] | Generator


class NAdamOptimizer(Optimizer):
    """Adam with Nesterov momentum (Dozat 2016), number for number `torch.optim.NAdam`."""

    __slots__ = ("momentum_decay", "mu_product")

    def __init__(self, learn_rate: FloatOrSeq, *, momentum_decay: float, **kwargs: Any) -> None:
        super().__init__(learn_rate, **kwargs)
        self.momentum_decay = momentum_decay
        self.mu_product: dict[Any, float] = {}

    def _momentum(self, step: int) -> float:
        return self.b1 * (1.0 - 0.5 * 0.96 ** (step * self.momentum_decay))

    def _adam(
        self, ops: Any, weights: Any, gradient: Any, lr_scale: float, key: Any, nr_upd: int
    ) -> tuple[Any, Any]:
        xp = ops.xp
        if key not in self.mom1:
            self.mom1[key] = xp.zeros_like(weights)
            self.mom2[key] = xp.zeros_like(weights)
            self.mu_product[key] = 1.0
        mom1, mom2 = self.mom1[key], self.mom2[key]
        mu, mu_next = self._momentum(nr_upd), self._momentum(nr_upd + 1)
        self.mu_product[key] *= mu
        product = self.mu_product[key]
        mom1 *= self.b1
        mom1 += (1.0 - self.b1) * gradient
        mom2 *= self.b2
        mom2 += (1.0 - self.b2) * xp.square(gradient)
        denominator = xp.sqrt(mom2 / (1.0 - self.b2**nr_upd))
        denominator += self.eps
        update = (1.0 - mu) / (1.0 - product) * gradient
        update += mu_next / (1.0 - product * mu_next) * mom1
        update /= denominator
        update *= self.learn_rate * lr_scale
        weights -= update
        return weights, gradient


@registry.optimizers("spacy_deeper.NAdam.v1")
def NAdam(
    learn_rate: FloatOrSeq = 2e-3,
    *,
    L2: FloatOrSeq = 0.0,
    beta1: FloatOrSeq = 0.9,
    beta2: FloatOrSeq = 0.999,
    eps: FloatOrSeq = 1e-8,
    grad_clip: FloatOrSeq = 0.0,
    use_averages: bool = False,
    L2_is_weight_decay: bool = False,
    momentum_decay: float = 4e-3,
) -> NAdamOptimizer:
    """Create the Nesterov Adam optimizer, which Crone (2020) trains CoNLL04 with.

    The defaults are those of `torch.optim.NAdam`, and so is the arithmetic.

    grad_clip (FloatOrSeq): Clip the norm of each parameter's gradient; 0 does not.
    use_averages (bool): Whether moving averages of the parameters are evaluated and saved.
    momentum_decay (float): The ψ of Dozat (2016): how fast the momentum warms up to beta1.
    """
    return NAdamOptimizer(
        learn_rate,
        L2=L2,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        grad_clip=grad_clip,
        use_averages=use_averages,
        L2_is_weight_decay=L2_is_weight_decay,
        momentum_decay=momentum_decay,
    )
