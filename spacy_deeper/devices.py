"""The processors that there are, the choice of one, its precision, and memory."""

import ctypes
import os
import warnings
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

from .errors import Errors, Warnings


def n_cores() -> int:
    """Return how many cores this process may use; `os` tells since Python 3.13."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_gpu(gpu_id: int) -> None:
    """Let Thinc compute on a GPU; with -1, on the CPU."""
    from thinc.api import require_gpu

    if gpu_id < 0:
        return
    try:
        require_gpu(gpu_id)
    except Exception as err:  # no GPU, no cupy, no such ID: each has its own
        problem = " ".join(str(err).split())
        raise ValueError(Errors.D163.format(gpu_id=gpu_id, problem=problem)) from err


def has_bf16() -> bool:
    """Whether this processor has instructions for bfloat16 that torch knows: AVX512-BF16 or AMX."""
    import torch

    known = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(hasattr(torch.cpu, name) and getattr(torch.cpu, name)() for name in known)


def can_bf16(wanted: bool = True, gpu_id: int = -1) -> bool:
    """Whether bfloat16 is wanted and there: without instructions for it, which would take longer
    than single precision, it warns (DW164).

    RAISES (ValueError): If it is wanted on a GPU.
    """
    if wanted and gpu_id >= 0:
        raise ValueError(Errors.D166)
    if wanted and not has_bf16():
        warnings.warn(Warnings.DW164, stacklevel=2)
        return False
    return wanted


def bf16(wanted: bool = True) -> AbstractContextManager[Any]:
    """Return a context in which torch computes products on the CPU in bfloat16.

    Weights stay in single precision. It is torch's autocast, for what the caller's thread does.
    """
    import torch

    return torch.autocast("cpu", dtype=torch.bfloat16) if wanted else nullcontext()


def exact() -> AbstractContextManager[Any]:
    """Return a context in which torch computes as exactly as numbers are given."""
    import torch

    return torch.autocast("cpu", enabled=False) if autocasts() else nullcontext()


def autocasts() -> bool:
    """Whether torch is to choose the precision."""
    import torch

    try:
        return torch.is_autocast_enabled("cpu")
    except TypeError:  # before torch 2.4
        return torch.is_autocast_cpu_enabled()


def bound_kernels(count: int = 64) -> None:
    """Let oneDNN keep the kernels of fewer shapes than the 1024 that it does by default.

    Each has memory of its own to work in, and batches of texts have ever new shapes: annotating
    grew by a megabyte with each batch. To be called before anything is computed.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(count))


def return_memory() -> None:
    """Let the C library give memory that is free back to the system, if it is GNU's.

    It does not find all that torch has freed, which is aligned, when torch asks for more: with
    glibc 2.36, a training grew by a megabyte at each step.
    """
    with suppress(OSError, TypeError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
