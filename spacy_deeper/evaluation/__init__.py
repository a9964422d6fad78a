"""What a pipeline is worth on annotated data: scores, errors, thresholds and pictures of them."""

from .evaluate import evaluate, evaluate_on_gold_entities, with_gold_entities

__all__ = ["evaluate", "evaluate_on_gold_entities", "with_gold_entities"]
