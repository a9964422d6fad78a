"""The bridge between Thinc and the torch modules in `layers/pytorch`.

Five things that Thinc's own `PyTorchWrapper` leaves out: a module is built only when its sizes are
known, and rebuilt from its saved sizes when a model is loaded; the dropout rate that spaCy sets on
Thinc layers reaches torch; so do an optimizer's averages (`use_averages = true`); threads may share
a pipeline; and a long training's memory does not grow.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from io import BytesIO
from itertools import count
from typing import Any, cast

import numpy
import srsly
from thinc.api import ArgsKwargs, Model, Shim, torch2xp
from thinc.types import Ints1d

from ..compat import PyTorchShim, get_torch_default_device, load_weights, xp2torch
from ..devices import autocasts, return_memory
from ..errors import Errors

# Updates, of all layers, after which memory is returned: some dozens of steps.
RETURN_EVERY = 500
UPDATES = count(1)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


# A forked process has no thread of OpenMP's pool, and would wait for them for ever in
# `nlp.pipe(n_process=2)`.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one_thread)


class TorchShim(PyTorchShim):
    """Holds a torch module that is built, or built anew, when its sizes are known.

    builder: returns the module; its keyword arguments are the sizes, kept in `cfg`.
    """

    def __init__(self, builder: Callable[..., Any]) -> None:
        super().__init__(None)
        self.builder = builder

    @property
    def module(self) -> Any:
        """The torch module, or None before `build`."""
        return self._model

    @property
    def int8_layers(self) -> list[str]:
        """The names of the module's layers that have weights of 8 bits."""
        from .pytorch.quantize import int8_layers

        return int8_layers(self._model)

    def build(self, **sizes: Any) -> None:
        """Make the module, freshly initialized.

        RAISES (ValueError): If it has weights of 8 bits, which fresh ones would replace.
        """
        if self._model is not None and self.int8_layers:
            raise ValueError(Errors.D452)
        self.cfg = sizes
        self._model = self.builder(**sizes).to(get_torch_default_device())

    def resize(self, **sizes: Any) -> None:
        """Grow the module, keeping what it learned: old weights fill the leading corner.

        Does nothing before `build`.
        """
        if self._model is None:
            return
        if self.int8_layers:
            raise ValueError(Errors.D455)
        old = self._model.state_dict()
        self.build(**{**self.cfg, **sizes})
        for name, value in self._model.state_dict().items():  # shares memory with the module
            value[tuple(slice(0, size) for size in old[name].shape)] = old[name]
        self._renew_id()

    def copy(self) -> "TorchShim":
        other = super().copy()
        other._renew_id()
        return other

    def _renew_id(self) -> None:
        # Optimizers key a parameter's moments by this id: another one's must not be found.
        with Shim.global_id_lock:
            Shim.global_id += 1
            self.id = Shim.global_id

    def predict(self, inputs: ArgsKwargs) -> Any:
        """Run the module, as `predict`."""
        return predict(self, inputs)

    def finish_update(self, optimizer: Any) -> None:
        if self._model is not None:
            super().finish_update(optimizer)
            if next(UPDATES) % RETURN_EVERY == 0:
                return_memory()

    @contextmanager
    def use_params(self, params: dict[Any, Any]) -> Iterator[None]:
        """Have other values for the parameters for a while: an optimizer's averages.

        params: the values by (this id, name), as `finish_update` names them to the optimizer.
        """
        with other_params(self, params):
            yield

    def to_device(self, device_type: str, device_id: int) -> None:
        if self._model is not None:
            super().to_device(device_type, device_id)

    def to_bytes(self) -> bytes:
        import torch

        state, int8 = BytesIO(), []
        if self._model is not None:
            torch.save(self._model.state_dict(), state)
            int8 = self.int8_layers
        msg = {"config": self.cfg, "state": state.getvalue(), **({"int8": int8} if int8 else {})}
        return srsly.msgpack_dumps(msg)

    def from_bytes(self, bytes_data: bytes) -> "TorchShim":
        msg = srsly.msgpack_loads(bytes_data)
        if msg["state"]:
            self._model = None
            self.build(**msg["config"])
            if "int8" in msg:
                from .pytorch.quantize import to_int8

                to_int8(self._model, msg["int8"])
            device = get_torch_default_device()
            self._model.load_state_dict(load_weights(BytesIO(msg["state"]), device))
        return self


def predict(shim: Any, inputs: ArgsKwargs) -> Any:
    """Run a shim's module without gradients, as Thinc's shims do, but leave it in evaluation mode.

    Theirs go back to that of training, in the midst of what another thread predicts.
    """
    import torch

    # In any case: another thread may have put the whole there, and not yet all of its parts.
    shim._model.eval()
    mixed = torch.autocast("cuda") if shim._mixed_precision else nullcontext()
    with torch.no_grad(), mixed:
        return shim._model(*inputs.args, **inputs.kwargs)


@contextmanager
def other_params(shim: Any, params: dict[Any, Any]) -> Iterator[None]:
    """Do what Thinc's shims should do in `use_params`; theirs look for other keys.

    params: the values by (the shim's id, name).
    """
    named = {} if shim._model is None else dict(shim._model.named_parameters())
    replaced = {name: p for name, p in named.items() if (shim.id, name) in params}
    backup = {name: p.detach().clone() for name, p in replaced.items()}
    for name, parameter in replaced.items():  # in place: a GPU's RNN weights stay in one piece
        parameter.data.copy_(xp2torch(params[shim.id, name], device=parameter.device))
    try:
        yield
    finally:
        for name, parameter in replaced.items():
            parameter.data.copy_(backup[name])


def torch_layer(name: str, builder: Callable[..., Any], forward: Callable, **kwargs: Any) -> Model:
    """Return a Thinc layer with one torch module; `kwargs` go to `Model`."""
    return Model(name, forward, shims=[TorchShim(builder)], **kwargs)


def shim_of(model: Model) -> TorchShim:
    """Return the shim of a layer made by `torch_layer`."""
    shim = model.shims[0]
    assert isinstance(shim, TorchShim)
    return shim


def module_of(model: Model) -> Any:
    """Return the torch module of a layer made by `torch_layer`."""
    module = shim_of(model).module
    if module is None:
        raise ValueError(Errors.D200.format(name=model.name))
    return module


def call_module(
    model: Model, is_train: bool, *inputs: Any, **options: Any
) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """Run a layer's torch module on arrays of `model.ops`.

    Float arrays get gradients, integer arrays and CPU tensors (lengths) pass through without.
    RETURNS: the output array, and a callback from its gradient to those of the inputs, with
        None for those that have none.
    """
    module_of(model)
    if is_train and autocasts():
        raise ValueError(Errors.D231.format(name=model.name))
    shim = shim_of(model)
    if model.has_dim("nI") and inputs[0].shape[-1] != model.get_dim("nI"):
        width, found = model.get_dim("nI"), inputs[0].shape[-1]
        raise ValueError(Errors.D215.format(name=model.name, width=width, found=found))
    xp = model.ops.xp
    tensors = tuple(
        xp2torch(x, requires_grad=is_train and x.dtype.kind == "f", device=shim.device)
        if isinstance(x, xp.ndarray)
        else x
        for x in inputs
    )
    output, torch_backprop = shim(ArgsKwargs(tensors, options), is_train)
    output = single(output)

    def backprop(d_output: Any) -> tuple[Any, ...]:
        if not output.requires_grad:  # nothing went through the module: an empty batch
            return tuple(xp.zeros_like(x) if isinstance(x, xp.ndarray) else None for x in inputs)
        gradient = xp2torch(model.ops.as_contig(d_output), device=shim.device)
        grads = torch_backprop(ArgsKwargs(((output,),), {"grad_tensors": (gradient,)}))
        return tuple(None if g is None else torch2xp(g) for g in grads.args)

    return torch2xp(output), backprop


def single(x: Any) -> Any:
    """Return a tensor of half precision, which autocast makes, in single: numpy has no bfloat16."""
    import torch

    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def split_rows(model: Model, rows: Any, sizes: Sequence[int]) -> list[Any]:
    """Cut rows (Σ sizes, ...) into one array for each text."""
    return model.ops.unflatten(rows, cast(Ints1d, numpy.asarray(sizes, dtype="int64")))


def forward_rows(
    model: Model, Xs: list[Any], is_train: bool, **options: Any
) -> tuple[list[Any], Callable[[list[Any]], list[Any]]]:
    """Run a layer's module on the rows of all texts at once."""
    sizes = [len(X) for X in Xs]
    Y, bp_module = call_module(model, is_train, model.ops.xp.concatenate(Xs), **options)

    def backprop(dYs: list[Any]) -> list[Any]:
        dX = bp_module(model.ops.xp.concatenate(dYs))[0]
        return split_rows(model, dX, sizes)

    return split_rows(model, Y, sizes), backprop


def dropout_attrs(rate: float | None) -> dict[str, float]:
    """Return the attributes of a layer with dropout.

    rate: the layer's own rate, or None to obey the training's (`[training] dropout`, which
        Thinc writes into every attribute of the name `dropout_rate`).
    """
    if rate is None:
        return {"dropout_rate": 0.0}
    if not 0.0 <= rate < 1.0:
        raise ValueError(Errors.D201.format(rate=rate))
    return {"own_dropout_rate": rate}


def dropout_rate(model: Model) -> float:
    """Return the rate a layer with `dropout_attrs` has now."""
    return model.attrs.get("own_dropout_rate", model.attrs.get("dropout_rate")) or 0.0


def check_width(name: str, width: int, members: int = 1) -> None:
    """Raise if bidirectional layers can't split their width between members and two directions."""
    if width < 2 or width % 2:
        raise ValueError(Errors.D202.format(name=name, width=width))
    check_split(name, width, members, 2 * members)


def check_split(name: str, width: int, members: int, multiple: int | None = None) -> None:
    """Raise if members of a committee can't have equal shares of a width.

    multiple: What it is to be a multiple of, if not of their number.
    """
    multiple = multiple or members
    if width % multiple:
        settings = {"name": name, "width": width, "members": members, "multiple": multiple}
        raise ValueError(Errors.D227.format(**settings))


def check_members(name: str, members: int, encode: Model) -> None:
    """Raise if a component's BiRNN is of another number of members than what reads it."""
    found = encode.attrs.get("members", members)  # others' layers don't say
    if found != members:
        raise ValueError(Errors.D228.format(name=name, members=members, found=found))


def check_positive(**settings: int) -> None:
    """Raise if a size is below 1."""
    for name, value in settings.items():
        if value < 1:
            raise ValueError(Errors.D216.format(name=name, value=value))


def check_choice(name: str, value: str, choices: Any) -> None:
    """Raise if a setting is not one of its choices."""
    if value not in choices:
        raise ValueError(Errors.D203.format(name=name, value=value, choices=", ".join(choices)))
