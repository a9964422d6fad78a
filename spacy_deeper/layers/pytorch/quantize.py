"""Put layers with weights of 8 bits in the place of a module's own."""

from collections.abc import Callable, Iterable

from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from .int8 import Int8, Int8GRU, Int8Linear, Int8LSTM

# A layer with fewer weights stays as it is: there is nothing to gain.
MIN_WEIGHTS = 2**14


def quantizable_layers(module: nn.Module) -> list[str]:
    """Return the names of the layers that can have, and are worth having, weights of 8 bits."""
    return [name for name, part in module.named_modules() if name and _is_worth_it(part)]


def int8_layers(module: nn.Module) -> list[str]:
    """Return the names of the layers that have weights of 8 bits."""
    names: list[str] = []
    for name, part in module.named_modules():
        inner = names and name.startswith(f"{names[-1]}.")
        if isinstance(part, Int8) and not inner:
            names.append(name)
    return names


def to_int8(module: nn.Module, names: Iterable[str]) -> None:
    """Replace the layers of these names, in place."""
    for name in names:
        parent, _, own = name.rpartition(".")
        part = module.get_submodule(name)
        setattr(module.get_submodule(parent), own, _replacement(part)(part).eval())


def _replacement(part: nn.Module) -> Callable[..., Int8]:
    if isinstance(part, nn.RNNBase):
        return Int8GRU if isinstance(part, nn.GRU) else Int8LSTM
    return Int8Linear


def _is_worth_it(part: nn.Module) -> bool:
    if isinstance(part, nn.GRU | nn.LSTM):
        usual = part.bidirectional and part.bias and part.num_layers == 1 and not part.proj_size
        return usual and part.all_weights[0][1].numel() >= MIN_WEIGHTS
    # Of the latter torch reads the weights, and calls it not.
    if isinstance(part, nn.Linear) and not isinstance(part, NonDynamicallyQuantizableLinear):
        return part.weight.numel() >= MIN_WEIGHTS
    return False
