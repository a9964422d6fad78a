"""Quantize a trained pipeline: weights of 8 bits, for inference on the CPU."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from thinc.api import Model, Shim

from .errors import Errors
from .layers.cached import frozen_layers
from .layers.torch_layer import TorchShim
from .models.transformer import INT8, SavedTransformer

if TYPE_CHECKING:
    from spacy.language import Language

# What `nlp.meta` says of a quantized pipeline.
META = "quantization"


def quantize(nlp: "Language") -> int:
    """Give a pipeline's transformer, recurrent and linear layers weights of 8 bits, in place.

    Layers of spacy-deeper and transformers of `spacy_deeper.TransformerModel.v1` and
    `spacy_deeper.FrozenTransformer.v1` are quantized; small layers, and those of others, stay as
    they are. Predictions change a little. The result can be saved, loaded and run as any other
    pipeline, on the CPU, but not trained; `nlp.meta["quantization"]` is then "int8".

    nlp (Language): A trained pipeline.
    RETURNS (int): How many layers were quantized.
    RAISES (ValueError): If it is quantized already, or there is nothing to quantize.
    """
    from .layers.pytorch.quantize import int8_layers, quantizable_layers, to_int8

    found = list(_modules(nlp))
    if any(int8_layers(shim._model) for _, shim in found):
        raise ValueError(Errors.D450)
    for component, shim in found:
        if not isinstance(shim, TorchShim) and not isinstance(shim.model_cls, SavedTransformer):
            raise ValueError(Errors.D453.format(name=component))
    count = 0
    for _, shim in found:
        names = quantizable_layers(shim._model)
        if not isinstance(shim, TorchShim):
            setattr(shim._model.config, INT8, names)
        to_int8(shim._model, names)
        count += len(names)
    if not count:
        raise ValueError(Errors.D451.format(pipeline=", ".join(nlp.pipe_names)))
    for layer in frozen_layers(nlp):
        layer.cache.clear()
    nlp.meta[META] = "int8"
    return count


def _modules(nlp: "Language") -> Iterator[tuple[str, Any]]:
    """Yield the component and the shim of each torch module that can be quantized."""
    seen = set()
    for name, pipe in nlp.pipeline:
        model = getattr(pipe, "model", None)
        shims = model.walk() if isinstance(model, Model) else ()
        for shim in (shim for node in shims for shim in node.shims):
            ours = isinstance(shim, TorchShim) or _is_transformer(shim)
            if ours and shim._model is not None and id(shim) not in seen:
                seen.add(id(shim))
                yield name, shim


def _is_transformer(shim: Shim) -> bool:
    """Whether it is a shim of spacy-transformers, without an import of that for others' sake."""
    return hasattr(shim, "_hfmodel")
