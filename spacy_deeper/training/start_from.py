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
            raise ValueError(Errors.D290.format(path=path, problem=err)) from None
        for name, pipe in nlp.pipeline:
            layers = own_layers(pipe)
            if not layers:
                continue
            if name not in other.pipe_names:
                raise ValueError(Errors.D290.format(path=path, problem=f"it has no '{name}'"))
            source = other.get_pipe(name)
            if getattr(pipe, "label_data", None) != getattr(source, "label_data", None):
                problem = f"its '{name}' has other labels"
                raise ValueError(Errors.D290.format(path=path, problem=problem))
            sources = own_layers(source)
            for key, layer in layers.items():
                mine, theirs = shapes(layer), shapes(sources.get(key))
                if mine != theirs:
                    problem = f"'{key}' of its '{name}' has {theirs or 'no weights'}, not {mine}"
                    raise ValueError(Errors.D290.format(path=path, problem=problem))
                layer.load_state_dict(sources[key].state_dict())
        return nlp

    return start_from


def own_layers(pipe: Any) -> dict[str, Any]:
    """Return the torch modules of a component's layers of ours, by name and number."""
    model = getattr(pipe, "model", None)
    found: dict[str, Any] = {}
    seen: Counter[str] = Counter()
    for node in model.walk() if isinstance(model, Model) else ():
        for shim in node.shims:
            if isinstance(shim, TorchShim) and shim.module is not None:
                seen[node.name] += 1
                found[f"{node.name} {seen[node.name]}"] = shim.module
    return found


def shapes(module: Any) -> dict[str, tuple[int, ...]]:
    """Return the shape of each of a module's weights; of None, which has none, nothing."""
    state = module.state_dict() if module is not None else {}
    return {name: tuple(value.shape) for name, value in state.items()}
