"""The folder of a protocol: for one protocol, and one process at a time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import srsly
from filelock import FileLock, Timeout

from ..errors import Errors

LOCK = ".lock"
RESULTS = "results.json"


@contextmanager
def claimed(output: Path, about: Mapping[str, Any]) -> Iterator[None]:
    """Keep other processes out of a folder, and complain if it is another protocol's.

    output (Path): The folder, which is made.
    about (Mapping[str, Any]): What must stand in its results file, if there is one.
    """
    lock = FileLock(output / LOCK)
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(Errors.D310.format(path=output)) from None
    except OSError as err:
        raise ValueError(Errors.D106.format(path=output, problem=err.strerror)) from None
    try:
        _check_results(output / RESULTS, about)
        yield
    finally:
        lock.release()


def _check_results(path: Path, about: Mapping[str, Any]) -> None:
    try:
        found = srsly.read_json(path) if path.exists() else about
    except ValueError:
        found = None
    for name, value in about.items():
        other = found.get(name) if isinstance(found, dict) else None
        if other != value:
            raise ValueError(Errors.D309.format(path=path, name=name, found=other, value=value))
