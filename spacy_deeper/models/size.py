"""How many parameters a pipeline trains."""

from collections.abc import Iterator

from spacy.language import Language
from spacy.pipeline import TrainablePipe
from thinc.api import Model

from ..layers.cached import Frozen


def count_parameters(nlp: Language) -> int:
    """Count the trainable parameters of an initialized pipeline, shared ones once.

    nlp (Language): The pipeline. What is frozen in it (a component, an encoder behind a cache)
        does not count.
    RETURNS (int): Their number.
    """
    frozen = nlp.config["training"]["frozen_components"]
    pipes = [pipe for name, pipe in nlp.pipeline if name not in frozen]
    models = [pipe.model for pipe in pipes if isinstance(pipe, TrainablePipe)]
    nodes = {node.id: node for model in models for node in _trained(model)}.values()
    modules = [shim._model for node in nodes for shim in node.shims if shim._model is not None]
    in_thinc = sum(node.get_param(name).size for node in nodes for name in node.param_names)
    in_torch = {parameter for module in modules for parameter in module.parameters()}
    return in_thinc + sum(p.numel() for p in in_torch if p.requires_grad)


def _trained(model: Model) -> Iterator[Model]:
    if isinstance(model, Frozen):
        return
    yield model
    for layer in model.layers:
        yield from _trained(layer)
