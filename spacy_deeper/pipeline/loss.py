"""Losses, and how one over a batch becomes one number."""

from typing import Any, Literal

from ..layers.torch_layer import check_choice

# "mean": over what is scored (tokens, or pairs times labels); "doc": the sum of each text,
# averaged over texts; "sum": over everything.
Reduction = Literal["mean", "doc", "sum"]


def loss_scale(reduction: Reduction, n_items: int, n_docs: int) -> float:
    """Return the factor on a summed loss.

    n_items (int): The number of scored items of the batch.
    n_docs (int): The number of texts of the batch.
    """
    check_choice("loss_reduction", reduction, ("mean", "doc", "sum"))
    return {"mean": 1 / max(n_items, 1), "doc": 1 / max(n_docs, 1), "sum": 1.0}[reduction]


def binary_cross_entropy(xp: Any, logits: Any, truth: Any) -> Any:
    """Return the binary cross-entropy of sigmoid(logits), elementwise (Crone 2020, section 3.4)."""
    return xp.maximum(logits, 0) - logits * truth + xp.log1p(xp.exp(-xp.abs(logits)))


def relation_loss(
    ops: Any,
    logits: Any,
    truth: Any,
    label_smoothing: float = 0.0,
    negative_weight: float = 1.0,
    focal_gamma: float = 0.0,
) -> tuple[Any, Any]:
    """Return the loss of each pair and label, and its gradient with respect to the logits.

    With the defaults it is the paper's binary cross-entropy; what else it can be, together:

    label_smoothing: ε: the targets are ε / 2 and 1 - ε / 2 (Szegedy et al. 2016).
    negative_weight: The weight of what is no relation, beside 1 for what is one.
    focal_gamma: Cross-entropies are weighed by this power of the probability that the other
        answer has (Lin et al. 2017).
    """
    xp = ops.xp
    p = ops.sigmoid(logits)
    target = truth * (1 - label_smoothing) + label_smoothing / 2 if label_smoothing else truth
    if focal_gamma:
        positive, negative = (binary_cross_entropy(xp, logits, y) for y in (1.0, 0.0))
        hard, easy = target * (1 - p) ** focal_gamma, (1 - target) * p**focal_gamma
        loss = hard * positive + easy * negative
        # d(1 - p) = -p (1 - p), so both factors of a product have one of p and 1 - p.
        gradient = easy * (p + focal_gamma * (1 - p) * negative)
        gradient -= hard * (1 - p + focal_gamma * p * positive)
    else:
        loss = binary_cross_entropy(xp, logits, target)
        gradient = p - target
    if negative_weight != 1.0:
        weight = truth + negative_weight * (1 - truth)
        loss, gradient = loss * weight, gradient * weight
    return loss, gradient
