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
