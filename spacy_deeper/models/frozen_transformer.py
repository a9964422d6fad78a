import json
from collections.abc import Callable
from importlib.metadata import version
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model, chain
from thinc.types import Floats2d, Floats3d, Ragged

from ..errors import Errors
from ..layers.cached import cached
from ..layers.disk_cache import fingerprint_of
from ..layers.encoder_layers import Combine, combine_layers
from ..layers.torch_layer import check_choice, split_rows
from .transformer import TransformerModel

if TYPE_CHECKING:
    from spacy_transformers import TransformerModel as TransformerModelT

# Padded tokens that go through the transformer at once: bounds memory, however large the batch. Of
# fewer, what is between its layers stays in a CPU's cache, which a quantized one gains most by.
CHUNK = 4096
CPU_CHUNK = 1024


@registry.architectures("spacy_deeper.FrozenTransformer.v1")
def FrozenTransformer(
    name: str,
    pooling: Model[Ragged, Floats2d],
    layers: Literal["all", "last"] = "all",
    window: int = 128,
    stride: int = 96,
    cache_mb: int = 2048,
    cache_dir: str | Path | None = None,
    combine: Combine = "mix",
) -> Model[list[Doc], list[Floats2d]]:
    """Embed tokens with a pretrained transformer that is not trained: t_elmo of equation 1.

    All its layers (the embeddings too) are used, as ELMo's are in Crone (2020). The weights are
    saved with the pipeline: loading it needs neither hub nor network.

    name (str): A model on the Hugging Face hub, or a local folder.
    pooling (Model[Ragged, Floats2d]): From a token's word pieces to the token: `reduce_mean.v1`,
        `reduce_first.v1`, `reduce_last.v1` or `reduce_max.v1`, or several of them side by side,
        below a `concatenate.v1`. A token without any, such as white space, is zeros.
    layers (str): "all" layers, or the "last" one only.
    window, stride (int): Long texts go through in windows of so many tokens, one every `stride`;
        a token in two windows is pooled from both.
    cache_mb (int): In training, memory for the outputs of texts seen before.
    cache_dir (Optional[Union[str, Path]]): In training, a folder for them too, which other runs
        share: one file for each text, 4 * layers * width bytes for each token.
    combine (str): What becomes of the layers: a learned "mix", as in the paper, or "concatenate"
        for all of them side by side.
    """
    check_choice("layers", layers, ("all", "last"))
    if not 0 < stride <= window:
        raise ValueError(Errors.D217.format(stride=stride, window=window))
    encoder = TransformerLayers(name, pooling, layers, window, stride)
    return chain(cached(encoder, cache_mb, cache_dir, fingerprint), combine_layers(combine))


def TransformerLayers(
    name: str, pooling: Model[Ragged, Floats2d], layers: str, window: int, stride: int
) -> Model[list[Doc], list[Floats3d]]:
    """Run a transformer over docs of n tokens, for (n, layers, width) each. Has no gradient."""
    from spacy_transformers.span_getters import configure_strided_spans

    spans = configure_strided_spans(window, stride)
    transformer = TransformerModel(name, spans, transformer_config={"output_hidden_states": True})
    return Model(
        "transformer_layers",
        forward,
        init=init,
        layers=[transformer, pooling],
        attrs={"layers": layers, "window": window, "stride": stride},
        refs={"transformer": transformer, "pooling": pooling},
    )


def init(model: Model, X: Any = None, Y: Any = None) -> None:
    model.get_ref("transformer").initialize()


def fingerprint(model: Model) -> str:
    """Return a hash of all that the layers of a text depend on."""
    transformer = cast("TransformerModelT", model.get_ref("transformer"))
    config = transformer.transformer.config.to_dict()
    config.pop("_name_or_path", None)  # the same weights may lie in any folder
    about = {
        "versions": [version("transformers"), version("spacy-transformers")],
        "config": config,
        "tokenizer": describe_tokenizer(transformer.tokenizer),
        "settings": [model.attrs[name] for name in ("layers", "window", "stride")],
    }
    return fingerprint_of(about, transformer.transformer, model.get_ref("pooling").to_bytes())


def describe_tokenizer(tokenizer: Any) -> list[Any]:
    """Return what a tokenizer's word pieces depend on, fit for JSON."""
    about = [type(tokenizer).__name__, tokenizer.model_max_length]
    if not tokenizer.is_fast:
        return [*about, tokenizer.init_kwargs, tokenizer.get_vocab()]
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    # These two are left behind by its last call.
    return [*about, {key: state[key] for key in state if key not in ("padding", "truncation")}]


def forward(
    model: Model, docs: list[Doc], is_train: bool
) -> tuple[list[Floats3d], Callable[[list[Floats3d]], list[Doc]]]:
    shape = token_shape(model)
    outputs = [cast(Floats3d, model.ops.alloc((0, *shape))) for _ in docs]
    lengths = [len(doc) for doc in docs]
    size = CPU_CHUNK if model.ops.device_type == "cpu" else CHUNK
    for chunk in chunks(lengths, model.attrs["window"], model.attrs["stride"], size):
        for i, rows in zip(chunk, encode(model, [docs[i] for i in chunk]), strict=True):
            outputs[i] = rows
    return outputs, lambda dYs: []


def token_shape(model: Model) -> tuple[int, int]:
    """Return the layers and the width of a token's output.

    Several poolings side by side are wider than the transformer.
    """
    config = cast("TransformerModelT", model.get_ref("transformer")).transformer.config
    n_layers = config.num_hidden_layers + 1 if model.attrs["layers"] == "all" else 1
    piece = Ragged(model.ops.alloc2f(1, config.hidden_size), model.ops.asarray1i([1]))
    return n_layers, model.get_ref("pooling").predict(piece).shape[1]


def chunks(lengths: list[int], window: int, stride: int, size: int = CHUNK) -> list[list[int]]:
    """Return the indices of the non-empty texts in batches of similar length, to pad little.

    size: A batch has no more padded tokens, unless one text has.
    """
    batches: list[list[int]] = []
    n_windows = longest = 0
    for i in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        if lengths[i] == 0:
            break
        windows = 1 + max(0, ceil((lengths[i] - window) / stride))
        n_windows += windows
        if not batches or n_windows * longest > size:
            batches.append([])
            n_windows, longest = windows, min(lengths[i], window)
        batches[-1].append(i)
    return batches


def encode(model: Model, docs: list[Doc]) -> list[Floats3d]:
    """Return the chosen layers of each doc's tokens, (n, layers, width)."""
    from spacy_transformers.align import apply_alignment
    from thinc.api import torch2xp

    batch = model.get_ref("transformer").predict(docs)
    hidden = batch.model_output.hidden_states
    hidden = hidden if model.attrs["layers"] == "all" else hidden[-1:]
    lengths = [len(doc) for doc in docs]
    rows = cast(Floats3d, model.ops.alloc((sum(lengths), *token_shape(model))))
    for i, layer in enumerate(hidden):  # and not all at once, which fits no cache
        pieces = cast(Floats2d, torch2xp(layer.flatten(0, 1)))
        aligned = apply_alignment(model.ops, batch.align, pieces)[0]
        rows[:, i] = pool(model.get_ref("pooling"), aligned)
    return split_rows(model, rows, lengths)


def pool(pooling: Model[Ragged, Floats2d], pieces: Ragged) -> Floats2d:
    """Pool each token's word pieces; a token without any is zeros."""
    # Of thinc's poolings, only the mean takes what is empty.
    filled = pieces.lengths > 0
    pooled = pooling.predict(Ragged(pieces.dataXd, pieces.lengths[filled]))
    if len(pooled) == len(filled):
        return pooled
    rows = pooling.ops.alloc2f(len(filled), pooled.shape[1])
    rows[filled] = pooled
    return rows
