"""The original ELMo, AllenNLP's, to compare with."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from ..errors import Errors
from ..layers.pytorch.packing import pad
from .elmo_files import Arrays, layout


class AllenNLPElmo(nn.Module):
    """AllenNLP's bidirectional language model behind the interface of `layers.pytorch.elmo.Elmo`.

    sizes: From `elmo_files.read_options`.
    """

    def __init__(self, sizes: dict[str, Any]) -> None:
        super().__init__()
        self.sizes = sizes
        zeros = {name: numpy.zeros(shape, "f") for name, shape in layout(sizes).items()}
        self.bilm = build(sizes, zeros)

    def load_arrays(self, arrays: Arrays) -> None:
        """Take the variables of a weight file."""
        self.bilm.load_state_dict(build(self.sizes, arrays).state_dict())

    def forward(
        self, words: Tensor, index: Tensor, lengths: Tensor, stateful: bool = False
    ) -> Tensor:
        """Return the layers of each token: see `layers.pytorch.elmo.Elmo.forward`."""
        if not stateful:
            self.bilm._elmo_lstm.reset_states()
        ids = words[index[index > 1]] + 1  # 0 is no token; AllenNLP adds a text's two ends, 0 and 1
        output = self.bilm(pad(ids, lengths - 2)[0])
        return torch.stack(output["activations"], dim=2)[output["mask"]]


def build(sizes: dict[str, Any], arrays: Arrays) -> Any:
    """Return AllenNLP's module, which reads its sizes and variables from files only."""
    try:
        import h5py
        from allennlp.modules.elmo import _ElmoBiLm
    except ImportError as error:
        raise ImportError(Errors.D246.format(problem=error)) from None
    with TemporaryDirectory() as folder:
        options, weights = Path(folder) / "options.json", Path(folder) / "weights.hdf5"
        options.write_text(json.dumps(to_options(sizes)))
        with h5py.File(weights, "w") as file:
            for name, array in arrays.items():
                file[name] = array
        return _ElmoBiLm(str(options), str(weights))


def to_options(sizes: dict[str, Any]) -> dict[str, Any]:
    """Return the content of `options.json`: what `elmo_files.read_options` reads."""
    return {
        "char_cnn": {
            "activation": sizes["activation"],
            "embedding": {"dim": sizes["char_dim"]},
            "filters": sizes["filters"],
            "max_characters_per_token": sizes["max_chars"],
            "n_characters": 262,
            "n_highway": sizes["n_highway"],
        },
        "lstm": {
            "cell_clip": sizes["cell_clip"],
            "dim": sizes["dim"],
            "n_layers": sizes["n_layers"],
            "proj_clip": sizes["proj_clip"],
            "projection_dim": sizes["projection"],
            "use_skip_connections": sizes["skip"],
        },
    }
