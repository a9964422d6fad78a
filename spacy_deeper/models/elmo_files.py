"""The files that ELMo is published in: `options.json`, and `weights.hdf5` with its variables."""

import json
from math import isfinite
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from ..errors import Errors
from ..files import sha256sum

Arrays = dict[str, NDArray[numpy.float32]]
ACTIVATIONS = ("relu", "tanh")


def read_options(path: Path) -> dict[str, Any]:
    """Return the arguments of `layers.pytorch.elmo.Elmo`."""
    check_file("options", path)
    try:
        options = json.loads(path.read_bytes())
        cnn, lstm = options["char_cnn"], options["lstm"]
        sizes: dict[str, Any] = {
            "max_chars": positive(cnn["max_characters_per_token"]),
            "char_dim": positive(cnn["embedding"]["dim"]),
            "filters": [[positive(width), positive(n)] for width, n in cnn["filters"]],
            "n_highway": positive(cnn["n_highway"]),
            "activation": ACTIVATIONS[ACTIVATIONS.index(cnn["activation"])],
            "dim": positive(lstm["dim"]),
            "projection": positive(lstm["projection_dim"]),
            "n_layers": positive(lstm["n_layers"]),
            "cell_clip": limit(lstm["cell_clip"]),
            "proj_clip": limit(lstm["proj_clip"]),
            "skip": bool(lstm["use_skip_connections"]),
        }
        if max(width for width, _ in sizes["filters"]) > sizes["max_chars"]:
            raise ValueError("a filter is wider than a word")
    except (OSError, ValueError, TypeError, LookupError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise ValueError(Errors.D243.format(path=path, problem=problem)) from None
    return sizes


def positive(value: Any) -> int:
    """Return a whole number that is 1 or more, or raise ValueError."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is not a whole number above 0")
    return value


def limit(value: Any) -> float | None:
    """Return a finite number above 0, None for none, or raise ValueError. AllenNLP's none is 0."""
    number = float(value or 0)
    if not (number >= 0 and isfinite(number)):
        raise ValueError(f"{value!r} is no limit")
    return number or None


def read_weights(path: Path, sizes: dict[str, Any], sha256: str | None = None) -> Arrays:
    """Return the variables of a weight file, which must have the names and shapes of `layout`.

    sizes: From `read_options`.
    sha256: The file's checksum, as hexadecimal digits; None checks nothing.
    """
    check_file("weight", path)
    if sha256 is not None:
        check_sum(path, sha256)
    try:
        import h5py
    except ImportError as error:
        raise ImportError(Errors.D241.format(path=path, problem=error)) from None
    expected = layout(sizes)
    # Fewer layers than the file has would fit, and be wrong.
    names = layout({name: size + 1 if name in LAYERS else size for name, size in sizes.items()})
    try:
        with h5py.File(path, "r") as file:
            for name in names:
                shape = getattr(file.get(name), "shape", None)
                if shape != expected.get(name):
                    problem = {"found": shape or "none", "expected": expected.get(name, "none")}
                    raise ValueError(Errors.D245.format(path=path, name=name, **problem))
            return {name: file[name][()].astype("float32", copy=False) for name in expected}
    except (OSError, RuntimeError) as error:
        raise ValueError(Errors.D244.format(path=path, problem=error)) from None


LAYERS = ("n_highway", "n_layers")
CELL = "RNN_{direction}/RNN/MultiRNNCell/Cell{layer}/LSTMCell/"


def layout(sizes: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of each variable that ELMo has with these sizes."""
    from ..layers.pytorch.elmo import N_CHARS

    char_dim, dim, projection = (sizes[name] for name in ("char_dim", "dim", "projection"))
    total = sum(n for _, n in sizes["filters"])
    shapes: dict[str, tuple[int, ...]] = {"char_embed": (N_CHARS, char_dim)}
    for i, (width, n) in enumerate(sizes["filters"]):
        shapes |= {f"CNN/W_cnn_{i}": (1, width, char_dim, n), f"CNN/b_cnn_{i}": (n,)}
    for i in range(sizes["n_highway"]):
        for name in ("transform", "carry"):
            shapes |= {f"CNN_high_{i}/W_{name}": (total, total), f"CNN_high_{i}/b_{name}": (total,)}
    shapes |= {"CNN_proj/W_proj": (total, projection), "CNN_proj/b_proj": (projection,)}
    for direction in range(2):
        for layer in range(sizes["n_layers"]):
            cell = CELL.format(direction=direction, layer=layer)
            shapes |= {
                cell + "W_0": (2 * projection, 4 * dim),
                cell + "B": (4 * dim,),
                cell + "W_P_0": (dim, projection),
            }
    return shapes


def to_state(arrays: Arrays, sizes: dict[str, Any]) -> dict[str, Any]:
    """Return the variables as the `state_dict` of `layers.pytorch.elmo.Elmo`."""
    from torch import from_numpy

    dim, projection = sizes["dim"], sizes["projection"]
    state = {"cnn.embed.weight": arrays["char_embed"]}
    for i in range(len(sizes["filters"])):
        state[f"cnn.convs.{i}.weight"] = arrays[f"CNN/W_cnn_{i}"][0].transpose(2, 1, 0)
        state[f"cnn.convs.{i}.bias"] = arrays[f"CNN/b_cnn_{i}"]
    for i in range(sizes["n_highway"]):
        for ours, theirs in (("transform", "transform"), ("gate", "carry")):
            state[f"cnn.highways.{i}.{ours}.weight"] = arrays[f"CNN_high_{i}/W_{theirs}"].T
            state[f"cnn.highways.{i}.{ours}.bias"] = arrays[f"CNN_high_{i}/b_{theirs}"]
    state["cnn.project.weight"] = arrays["CNN_proj/W_proj"].T
    state["cnn.project.bias"] = arrays["CNN_proj/b_proj"]
    for layer in range(sizes["n_layers"]):
        cells = [CELL.format(direction=direction, layer=layer) for direction in range(2)]
        weights, bias, project = (
            numpy.stack([arrays[cell + name] for cell in cells]) for name in ("W_0", "B", "W_P_0")
        )
        bias[:, 2 * dim : 3 * dim] += 1.0  # the forget gate's, which TensorFlow adds as it runs
        state[f"lstms.{layer}.input"] = weights[:, :projection]
        state[f"lstms.{layer}.recurrent"] = weights[:, projection:]
        state[f"lstms.{layer}.bias"] = bias[:, None]
        state[f"lstms.{layer}.project"] = project
    return {name: from_numpy(numpy.ascontiguousarray(array)) for name, array in state.items()}


def check_file(what: str, path: Path) -> None:
    """Raise if there is no such file."""
    if not path.is_file():
        raise FileNotFoundError(Errors.D240.format(what=what, path=path))


def check_sum(path: Path, expected: str) -> None:
    """Raise if a file's SHA-256 is another one."""
    found = sha256sum(path)
    if found != expected.lower():
        raise ValueError(Errors.D242.format(path=path, found=found, expected=expected))
