import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub
# Small models gain nothing from threads, and on a busy machine lose much.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import json
import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from hypothesis import settings
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model, fix_random_seed

settings.register_profile("tests", deadline=None)  # a busy machine is no failure
settings.load_profile("tests")


@pytest.fixture(autouse=True)
def _seed() -> None:
    fix_random_seed(0)


@pytest.fixture
def make_docs() -> Callable[..., list[Doc]]:
    """Make docs of one vocabulary from texts, a token between any two spaces."""
    vocab = Vocab()
    return lambda *texts: [Doc(vocab, words=text.split()) for text in texts]


@pytest.fixture(scope="session")
def tiny_transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random BERT, 8 wide with 2 layers, that takes 32 word pieces: letters."""
    transformers = pytest.importorskip("transformers")
    path = tmp_path_factory.mktemp("tiny") / "bert"
    letters = list(string.printable.strip())
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{x}" for x in letters)]
    vocab = path.with_name("vocab.txt")
    vocab.write_text("\n".join(pieces))
    config = transformers.BertConfig(
        vocab_size=len(pieces),
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=34,
        initializer_range=0.5,
    )
    torch.manual_seed(0)
    transformers.BertModel(config).save_pretrained(path)
    transformers.BertTokenizerFast(str(vocab), model_max_length=32).save_pretrained(path)
    return path


ELMO = {
    "lstm": {
        "dim": 6,
        "projection_dim": 4,
        "n_layers": 2,
        "cell_clip": 0.5,
        "proj_clip": 0.7,
        "use_skip_connections": True,
    },
    "char_cnn": {
        "embedding": {"dim": 3},
        "filters": [[1, 2], [3, 5]],
        "n_highway": 2,
        "n_characters": 262,
        "max_characters_per_token": 50,
        "activation": "relu",
    },
}


@pytest.fixture(scope="session")
def tiny_elmo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an ELMo of random weights, in files as the published ones."""
    h5py = pytest.importorskip("h5py", reason="needs the extra 'elmo'")
    folder = tmp_path_factory.mktemp("elmo")
    (folder / "options.json").write_text(json.dumps(ELMO))
    rng = numpy.random.default_rng(0)
    with h5py.File(folder / "weights.hdf5", "w") as file:

        def write(name: str, *shape: int) -> None:
            file[name] = rng.normal(scale=0.7, size=shape).astype("f")

        write("char_embed", 261, 3)
        for i, (width, n) in enumerate(ELMO["char_cnn"]["filters"]):
            write(f"CNN/W_cnn_{i}", 1, width, 3, n)
            write(f"CNN/b_cnn_{i}", n)
        for i in range(2):
            for name in ("transform", "carry"):
                write(f"CNN_high_{i}/W_{name}", 7, 7)
                write(f"CNN_high_{i}/b_{name}", 7)
        write("CNN_proj/W_proj", 7, 4)
        write("CNN_proj/b_proj", 4)
        for direction in range(2):
            for layer in range(2):
                cell = f"RNN_{direction}/RNN/MultiRNNCell/Cell{layer}/LSTMCell/"
                write(cell + "W_0", 8, 24)
                write(cell + "B", 24)
                write(cell + "W_P_0", 6, 4)
    return folder


@pytest.fixture(params=["float32", "float64"])
def check_gradients(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Compare a Thinc layer's gradients with central differences, in single and double precision.

    The check takes an initialized layer and its input. `floats(X)` are the arrays of the input,
    and `gradients(dX)` those of what backprop returns, that belong together one by one; none if
    the input has no gradient. Every parameter in a torch module counts too.
    """
    dtype = request.param
    eps, tolerance = {"float32": (1e-2, 5e-3), "float64": (1e-5, 1e-7)}[dtype]

    def check(
        model: Model,
        X: Any,
        floats: Callable[[Any], Sequence[Any]] = lambda X: [],
        gradients: Callable[[Any], Sequence[Any]] = lambda dX: [],
    ) -> None:
        parameters = _torch_parameters(model, dtype)
        arrays = list(floats(X))
        for i, array in enumerate(arrays):
            assert array.dtype == dtype, f"input {i} is not {dtype}"
        Y, backprop = model(X, is_train=True)
        rng = numpy.random.default_rng(0)
        weights = [rng.normal(size=y.shape).astype(dtype) for y in _as_list(Y)]
        dX = backprop(weights if isinstance(Y, list) else weights[0])
        checked = {
            f"input {i}": (array, dx)
            for (i, array), dx in zip(enumerate(arrays), gradients(dX), strict=True)
        }
        for name, parameter in parameters.items():
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            checked[name] = (parameter.detach().numpy(), gradient.numpy())

        def loss() -> float:
            outputs = _as_list(model.predict(X))
            return sum(
                float((w * y).sum(dtype="float64")) for w, y in zip(weights, outputs, strict=True)
            )

        assert checked, "nothing to check"
        for name, (values, gradient) in checked.items():
            assert gradient.shape == values.shape, name
            expected = _central_differences(loss, values, eps)
            scale = max(1.0, float(numpy.abs(expected).max(initial=0)))
            numpy.testing.assert_allclose(
                gradient / scale, expected / scale, atol=tolerance, err_msg=name
            )

    check.dtype = dtype  # type: ignore[attr-defined]
    return check


def _as_list(Y: Any) -> list[Any]:
    return Y if isinstance(Y, list) else [Y]


def _torch_parameters(model: Model, dtype: str) -> dict[str, torch.nn.Parameter]:
    """Return the parameters of all torch modules, turned into dtype and without gradients."""
    modules = {(node.name, shim.id): shim._model for node in model.walk() for shim in node.shims}
    for module in modules.values():
        module.to(getattr(torch, dtype)).zero_grad()
    return {
        f"{node} {number}, {name}": parameter
        for (node, number), module in modules.items()
        for name, parameter in module.named_parameters()
    }


def _central_differences(loss: Callable[[], float], values: Any, eps: float) -> numpy.ndarray:
    slopes = numpy.zeros(values.shape)
    for index in numpy.ndindex(*values.shape):
        value = values[index]
        values[index] = value + eps
        above = loss()
        values[index] = value - eps
        slopes[index] = (above - loss()) / (2 * eps)
        values[index] = value
    return slopes
