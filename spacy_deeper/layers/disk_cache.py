"""Arrays in a folder, for later runs and for processes that run at the same time."""

import json
import os
import warnings
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy
from thinc.api import Ops

from ..errors import Errors, Warnings

DIGEST = 16  # bytes at the end of a file, behind what numpy reads


class DiskCache:
    """One .npy file for each array. It has no bound: delete the folder to be rid of it.

    A file is complete or not there, and ends in a checksum, so that whatever happens to it, it
    either gives the array that was put in, number for number, or none.

    folder: Made if it is not there.
    name: A folder in it. It stands for all that the arrays depend on, except for their keys.
    ops: Makes the arrays that `get` returns.
    """

    def __init__(self, folder: Path, name: str, ops: Ops) -> None:
        self.folder = folder / name
        self.ops = ops
        self.writable = True
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(Errors.D261.format(path=folder, problem=error.strerror)) from error

    def get(self, key: bytes) -> Any | None:
        """Return the array, or None."""
        try:
            data = self._path(key).read_bytes()
        except OSError:
            return None
        content, checksum = data[:-DIGEST], data[-DIGEST:]
        if digest(content) != checksum:
            return None
        return self.ops.asarray(numpy.load(BytesIO(content), allow_pickle=False))

    def put(self, key: bytes, array: Any) -> None:
        """Write an array. If the disk is full, say so once and write no more."""
        if not self.writable:
            return
        buffer = BytesIO()
        numpy.save(buffer, self.ops.to_numpy(array), allow_pickle=False)
        content = buffer.getvalue()
        temporary = self.folder / f".{uuid4().hex}.tmp"
        try:
            temporary.write_bytes(content + digest(content))
            os.replace(temporary, self._path(key))
        except OSError as error:
            temporary.unlink(missing_ok=True)
            self.writable = False
            message = Warnings.DW260.format(path=self.folder, problem=error.strerror)
            warnings.warn(message, stacklevel=2)

    def _path(self, key: bytes) -> Path:
        return self.folder / f"{digest(key).hex()}.npy"


def fingerprint_of(about: Any, module: Any, more: bytes = b"") -> str:
    """Return a hash of what is told of a torch module, of its weights, and of more bytes."""
    result = blake2b(json.dumps(about, sort_keys=True, default=str).encode(), digest_size=DIGEST)
    result.update(more)
    for name, value in sorted(module.state_dict().items()):
        result.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        result.update(value.detach().cpu().float().numpy().tobytes())
    return result.hexdigest()


def digest(data: bytes) -> bytes:
    """Return a short hash."""
    return blake2b(data, digest_size=DIGEST).digest()
