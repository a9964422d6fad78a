"""Begin a training where another one ended: first the layers above the encoder, then it too."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.util import registry
from thinc.api import Model

from ..errors import Errors
from ..layers.torch_layer import TorchShim


@registry.callbacks("spacy_deeper.start_from.v1")
def make_start_from(path: Path) -> Callable[[Language], Language]:
    """Create a callback for `[initialize.after_init]` that takes over another pipeline's weights.

    Fresh layers pull a pretrained encoder out of shape before they know what they want of it: they
    are better trained on the frozen encoder first (Kumar et al. 2022, "linear probing then
    fine-tuning"). Every layer of ours takes the weights of its like in the other pipeline, which
    must have the same sizes and labels; what is the encoder's own stays as it is.

    path (Path): A trained pipeline, such as one with `spacy_deeper.FrozenTransformer.v1`.
    """

    def start_from(nlp: Language) -> Language:
        try:
            other = spacy.load(path)
        except OSError as err:
            raise ValueError(Errors.D290.format(path=path, problem=str(err).rstrip("."))) from None
        for name, pipe in nlp.pipeline:
            layers = own_layers(pipe)
            if not layers:
                continue
            if name not in other.pipe_names:
                raise ValueError(Errors.D290.format(path=path, problem=f"it has no '{name}'"))
            source = other.get_pipe(name)
            labels = getattr(source, "label_data", None)
            if getattr(pipe, "label_data", None) != labels:
                problem = f"its '{name}' has other labels, {labels}"
                raise ValueError(Errors.D290.format(path=path, problem=problem))
            sources = own_layers(source)
            for key in {**layers, **sources}:
                mine, theirs = shapes(layers.get(key)), shapes(sources.get(key))
                if mine != theirs:
                    problem = f"'{key}' of its '{name}' has {theirs or 'no weights'}, not {mine}"
                    raise ValueError(Errors.D290.format(path=path, problem=problem))
                copy_weights(sources[key], layers[key])
        return nlp

    return start_from


def own_layers(pipe: Any) -> dict[str, Model]:
    """Return a component's layers of ours that have weights, by name and number."""
    model = getattr(pipe, "model", None)
    found: dict[str, Model] = {}
    seen: Counter[str] = Counter()
    for node in model.walk() if isinstance(model, Model) else ():
        if shapes(node):
            seen[node.name] += 1
            found[f"{node.name} {seen[node.name]}"] = node
    return found


def modules(node: Model) -> list[Any]:
    """Return a layer's torch module, if it is one of ours."""
    shims = (shim for shim in node.shims if isinstance(shim, TorchShim))
    return [shim.module for shim in shims if shim.module is not None]


def shapes(node: Model | None) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight that is a layer's own; of None, nothing."""
    if node is None:
        return {}
    found: dict[str, tuple[int, ...]] = {
        name: node.get_param(name).shape for name in node.param_names if node.has_param(name)
    }
    for module in modules(node):
        found |= {name: tuple(value.shape) for name, value in module.state_dict().items()}
    return found


def copy_weights(source: Model, target: Model) -> None:
    for name in target.param_names:
        if target.has_param(name):
            target.set_param(name, source.get_param(name).copy())
    for mine, theirs in zip(modules(target), modules(source), strict=True):
        mine.load_state_dict(theirs.state_dict())
