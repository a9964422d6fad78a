"""How many parameters a pipeline trains."""

from collections.abc import Iterator

from spacy.language import Language
from spacy.pipeline import TrainablePipe
from thinc.api import Model

from ..layers.cached import Frozen


def count_parameters(nlp: Language) -> int:
    """Count the trainable parameters of an initialized pipeline, shared ones once.

    nlp (Language): The pipeline. What is frozen in it (an encoder behind a cache) does not count.
    RETURNS (int): Their number.
    """
    models = [pipe.model for _, pipe in nlp.pipeline if isinstance(pipe, TrainablePipe)]
    nodes = {node.id: node for model in models for node in _trained(model)}.values()
    shims = {shim.id: shim for node in nodes for shim in node.shims}.values()
    in_thinc = sum(node.get_param(name).size for node in nodes for name in node.param_names)
    in_torch = sum(p.numel() for s in shims if s._model is not None for p in s._model.parameters())
    return in_thinc + in_torch


def _trained(model: Model) -> Iterator[Model]:
    if isinstance(model, Frozen):
        return
    yield model
    for layer in model.layers:
        yield from _trained(layer)
