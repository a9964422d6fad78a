from collections.abc import Callable
from functools import partial
from itertools import chain as iter_chain
from pathlib import Path
from typing import Any, Literal, cast

import numpy
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model, chain
from thinc.types import Floats2d, Floats3d

from ..devices import exact
from ..layers.cached import cached
from ..layers.disk_cache import fingerprint_of
from ..layers.encoder_layers import Combine, combine_layers
from ..layers.torch_layer import (
    call_module,
    check_choice,
    module_of,
    shim_of,
    split_rows,
    torch_layer,
)
from .elmo_files import read_options, read_weights, to_state

# Tokens that go through ELMo at once, unless one text has more: bounds memory.
CHUNK = 1024

# What is no byte of a word, as ELMo was trained.
TEXT_BEGIN, TEXT_END, WORD_BEGIN, WORD_END, PADDING = range(256, 261)


@registry.architectures("spacy_deeper.Elmo.v1")
def Elmo(
    options: str,
    weights: str,
    sha256: str | None = None,
    backend: Literal["native", "allennlp"] = "native",
    stateful: bool = False,
    cache_mb: int = 2048,
    cache_dir: str | Path | None = None,
    combine: Combine = "mix",
) -> Model[list[Doc], list[Floats2d]]:
    """Embed tokens with a published ELMo that is not trained: t_elmo of equation 1 (Crone 2020).

    It has three layers in the published models. The weights are saved with the pipeline: loading it
    needs neither file, nor h5py.

    White space is not read, and gets zeros. Words are read by their first 48 bytes of UTF-8. A doc
    is one text between a begin and an end, however many sentences it has.

    options, weights (str): The published `options.json` and `weights.hdf5`.
    sha256 (Optional[str]): The checksum that the weight file must have; None checks nothing.
    backend (str): "native", or "allennlp" for the original code, to compare with; a pipeline
        trained with it needs AllenNLP and h5py wherever it is loaded.
    stateful (bool): As AllenNLP does, begin each text with the state in which the text at its
        place in the batch before ended, and cache nothing. By default a text's vectors depend on
        the text alone: they can be cached, and do not change with what ran before.
    cache_mb (int): In training, memory for the outputs of texts seen before.
    cache_dir (Optional[Union[str, Path]]): In training, a folder for them too, which other runs
        share: one file for each text, 4 * layers * width bytes for each token.
    combine (str): What becomes of the layers: a learned "mix", as in the paper, or "concatenate"
        for all of them side by side.
    """
    check_choice("backend", backend, BUILDERS)
    layers = ElmoLayers(options, weights, sha256, backend, stateful)
    if not stateful:
        layers = cached(layers, cache_mb, cache_dir, fingerprint)
    return chain(layers, combine_layers(combine))


def ElmoLayers(
    options: str, weights: str, sha256: str | None, backend: str, stateful: bool
) -> Model[list[Doc], list[Floats3d]]:
    """Run ELMo over docs of n tokens, for (n, layers, width) each. Has no gradient."""
    return torch_layer(
        "elmo_layers",
        BUILDERS[backend],
        forward,
        # Not in the attrs: they are saved, and a loaded pipeline has no files.
        init=partial(init, Path(options), Path(weights), sha256),
        attrs={"backend": backend, "stateful": stateful},
    )


def build(max_chars: int, **sizes: Any) -> Any:
    from ..layers.pytorch.elmo import Elmo

    return Elmo(**sizes)


def build_allennlp(**sizes: Any) -> Any:
    from .elmo_allennlp import AllenNLPElmo

    return AllenNLPElmo(sizes)


BUILDERS: dict[str, Callable[..., Any]] = {"native": build, "allennlp": build_allennlp}


def init(
    options: Path, weights: Path, sha256: str | None, model: Model, X: Any = None, Y: Any = None
) -> None:
    sizes = read_options(options)
    arrays = read_weights(weights, sizes, sha256)
    shim_of(model).build(**sizes)
    module = module_of(model)
    if model.attrs["backend"] == "native":
        module.load_state_dict(to_state(arrays, sizes))
    else:
        module.load_arrays(arrays)


def fingerprint(model: Model) -> str:
    """Return a hash of all that the layers of a text depend on."""
    return fingerprint_of([model.attrs["backend"], shim_of(model).cfg], module_of(model))


def forward(
    model: Model, docs: list[Doc], is_train: bool
) -> tuple[list[Floats3d], Callable[[list[Floats3d]], list[Doc]]]:
    module_of(model)  # or complain
    sizes = shim_of(model).cfg
    shape = (1 + sizes["n_layers"], 2 * sizes["projection"])
    outputs = [cast(Floats3d, model.ops.alloc((len(doc), *shape))) for doc in docs]
    read = [[token for token in doc if not token.text.isspace()] for doc in docs]
    stateful = model.attrs["stateful"]
    for chunk in [[*range(len(docs))]] if stateful else chunks([*map(len, read)]):
        texts = [[token.text for token in read[i]] for i in chunk]
        for i, rows in zip(chunk, encode(model, texts), strict=True):
            outputs[i][[token.i for token in read[i]]] = rows
    return outputs, lambda dYs: []


def chunks(lengths: list[int]) -> list[list[int]]:
    """Return the indices of the non-empty texts in batches of similar length, for few steps."""
    batches: list[list[int]] = []
    total = 0
    for i in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        if lengths[i] == 0:
            break
        total += lengths[i]
        if not batches or total > CHUNK:
            batches.append([])
            total = lengths[i]
        batches[-1].append(i)
    return batches


def encode(model: Model, texts: list[list[str]]) -> list[Floats3d]:
    """Return the layers (n, layers, width) of each text of n words."""
    import torch

    xp = model.ops.xp
    words = dict.fromkeys(iter_chain.from_iterable(texts))
    row = {word: i for i, word in enumerate(words, start=2)}
    ended = [[0, *(row[word] for word in text), 1] for text in texts]
    lengths = [len(rows) for rows in ended]
    with exact():  # in half precision sums over time grow wrong, and nothing is gained
        Y, _ = call_module(
            model,
            False,
            xp.asarray(character_ids(list(words), shim_of(model).cfg["max_chars"])),
            xp.asarray(numpy.fromiter(iter_chain.from_iterable(ended), dtype="int64")),
            torch.tensor(lengths, dtype=torch.int64),
            stateful=model.attrs["stateful"],
        )
    return [rows[1:-1] for rows in split_rows(model, Y, lengths)]


def character_ids(words: list[str], max_chars: int) -> NDArray[numpy.int64]:
    """Return the characters of the two ends of a text, as words, and of some words.

    A word is WORD_BEGIN, its bytes as UTF-8, cut to fit, and WORD_END.

    RETURNS: (2 + W, max_chars).
    """
    size = max_chars - 2
    rows = [[TEXT_BEGIN], [TEXT_END], *([*word.encode()[:size]] for word in words)]
    ids = numpy.full((len(rows), max_chars), PADDING)
    for i, row in enumerate(rows):
        ids[i, : len(row) + 2] = [WORD_BEGIN, *row, WORD_END]
    return ids
