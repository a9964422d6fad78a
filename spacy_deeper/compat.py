"""What today's libraries have, and those of spaCy 3.3, which AllenNLP needs, have not.

The rest of the package is written for today's. Without spaCy 3.3 this can go, and `write_csv_row`
without Python 3.12.
"""

import csv
import inspect
from collections.abc import Callable, Iterable
from copy import copy
from importlib import import_module
from itertools import compress
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, TextIO, Union, get_args, get_origin

import pydantic
import spacy
import thinc.api
import typer
from spacy.attrs import ORTH
from spacy.pipeline import tok2vec
from spacy.vectors import Vectors

__all__ = [
    "PyTorchShim",
    "Typer",
    "align_pieces",
    "get_torch_default_device",
    "load_weights",
    "mend_spacy",
    "mend_spacy_transformers",
    "teach_pydantic_unions",
    "vectors_attr",
    "write_csv_row",
    "xp2torch",
]


def version(module: Any) -> tuple[int, ...]:
    return tuple(int(part) for part in module.__version__.split(".")[:2])


def teach_pydantic_unions() -> None:
    """Make `int | None` in a registered function mean `Optional[int]`, as since pydantic 1.9."""
    if pydantic.VERSION.startswith(("1.7.", "1.8.")):
        pydantic.fields.get_origin = _origin  # type: ignore[attr-defined]


def _origin(annotation: Any) -> Any:
    return Union if isinstance(annotation, UnionType) else get_origin(annotation)


def mend_spacy() -> None:
    """Let `tok2vec` learn if it is among the `annotating_components`, as since spaCy 3.5."""
    if version(spacy) < (3, 5):
        _keep_gradients(tok2vec.Tok2VecListener, tok2vec._empty_backprop)


def mend_spacy_transformers() -> None:
    """Let a `transformer` learn if it annotates, and from batches with empty texts."""
    listener, trfs2arrays = (
        import_module(f"spacy_transformers.layers.{name}") for name in ("listener", "trfs2arrays")
    )
    mended = trfs2arrays.forward.__module__ == __name__
    if not mended and not hasattr(trfs2arrays, "concat_pooling_forward"):  # before 1.2.3
        _keep_gradients(listener.TransformerListener, None)
        _skip_empty_texts(trfs2arrays)


def _keep_gradients(listener: Any, no_backprop: Callable | None) -> None:
    """Let listeners keep what they received from an update.

    A component that annotates predicts its batch after the update, and old ones hand listeners
    that too: in the place of the update, and with no way back for the gradient.
    """
    receive = listener.receive

    def receive_or_keep(self: Any, batch_id: int, outputs: Any, backprop: Any) -> None:
        knows_it = batch_id == self._batch_id and self._backprop is not no_backprop
        if backprop is not no_backprop or not knows_it:
            receive(self, batch_id, outputs, backprop)

    listener.receive = receive_or_keep


def _skip_empty_texts(module: Any) -> None:
    """Keep empty texts, which have no output, from shifting the gradients of others."""
    forward = module.forward

    def forward_full(model: Any, texts: list[Any], is_train: bool) -> tuple[list[Any], Callable]:
        is_full = [bool(text.model_output) for text in texts]
        outputs, backprop = forward(model, list(compress(texts, is_full)), is_train)
        left = iter(outputs)
        Y = [next(left) if full else model.ops.alloc2f(0, 0) for full in is_full]
        return Y, lambda dY: backprop(list(compress(dY, is_full)))

    module.forward = forward_full


def align_pieces(spans: list[Any], encoding: Any, strings: Any, tokenizer: Any) -> Any:
    """Return which word pieces each token of the spans has, as `spacy_transformers` aligns them."""
    module = import_module("spacy_transformers.layers.transformer_model")
    by_offsets = getattr(module, "get_alignment_via_offset_mapping", None)  # since 1.1.9
    if by_offsets is not None and "offset_mapping" in encoding:
        return by_offsets(spans, encoding["offset_mapping"])
    return module.get_alignment(spans, strings, tokenizer.all_special_tokens)


def vectors_attr(vectors: Vectors) -> int:
    """Return the attribute of tokens that vectors are of."""
    return getattr(vectors, "attr", ORTH)


def load_weights(file: Any, device: Any) -> dict[str, Any]:
    """Read a `state_dict`; torch before 1.13 can't refuse what is none."""
    import torch

    only = {} if version(torch) < (1, 13) else {"weights_only": True}
    weights: dict[str, Any] = torch.load(file, map_location=device, **only)
    return weights


if TYPE_CHECKING or hasattr(thinc.api, "get_torch_default_device"):  # thinc >= 8.1
    from thinc.api import PyTorchShim, get_torch_default_device, xp2torch
else:

    def get_torch_default_device() -> Any:
        import torch

        on_gpu = thinc.api.get_current_ops().device_type == "gpu"
        return torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")

    def xp2torch(array: Any, requires_grad: bool = False, device: Any = None) -> Any:
        return thinc.api.xp2torch(array, requires_grad)  # stays where the array is

    class PyTorchShim(thinc.api.PyTorchShim):
        """Knows its device."""

        device = property(lambda self: get_torch_default_device())


if TYPE_CHECKING or version(typer) >= (0, 12):
    from typer import Typer
else:

    class Typer(typer.Typer):
        """Reads `Annotated` and `X | None`."""

        def __init__(self, **kwargs: Any) -> None:
            known = inspect.signature(typer.Typer).parameters
            super().__init__(**{name: value for name, value in kwargs.items() if name in known})

        def command(self, *args: Any, **kwargs: Any) -> Callable:
            register = super().command(*args, **kwargs)
            return lambda function: register(_with_options_as_defaults(function))


def _with_options_as_defaults(function: Callable) -> Callable:
    """Move what `Annotated` tells of a parameter into its default, where old typer looks for it."""
    signature = inspect.signature(function)
    parameters = []
    for parameter in signature.parameters.values():
        annotation, default = parameter.annotation, parameter.default
        if get_origin(annotation) is Annotated:
            annotation, option = get_args(annotation)
            option = copy(option)  # several commands may share it
            if option.default is not ...:  # which old typer takes for the first positional argument
                option.param_decls = (option.default, *option.param_decls)
            option.default = ... if default is parameter.empty else default
            default = option
        if isinstance(annotation, UnionType):
            annotation = Union[get_args(annotation)]  # noqa: UP007
        parameters.append(parameter.replace(annotation=annotation, default=default))
    function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return function


def write_csv_row(file: TextIO, row: Iterable[Any], delimiter: str = ",") -> None:
    """Write a row that ends with a line feed; Python < 3.13 leaves a carriage return unquoted."""
    row = list(row)
    returns = any(isinstance(value, str) and "\r" in value for value in row)
    quoting: Any = csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL
    csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=quoting).writerow(row)
