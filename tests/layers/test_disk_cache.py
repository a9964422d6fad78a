import os
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy
import pytest
from thinc.api import NumpyOps

from spacy_deeper.layers.disk_cache import DiskCache

KEYS = [b"", b"a", b"\x00" * 1000]


def rows(number: int) -> numpy.ndarray:
    return numpy.random.default_rng(number).normal(size=(number, 3, 4)).astype("f")


def make(folder: Path, name: str = "model") -> DiskCache:
    return DiskCache(folder, name, NumpyOps())


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_another_run_gets_what_was_put_number_for_number(tmp_path: Path) -> None:
    cache = make(tmp_path / "new" / "folder")
    for number, key in enumerate(KEYS):
        assert cache.get(key) is None
        cache.put(key, rows(number))
    again = make(tmp_path / "new" / "folder")
    for number, key in enumerate(KEYS):
        array = again.get(key)
        assert array.dtype == "float32"
        assert array.shape == (number, 3, 4)
        numpy.testing.assert_array_equal(array, rows(number))
    assert again.get(b"b") is None
    assert make(tmp_path / "new" / "folder", "other model").get(b"a") is None


def test_the_files_are_numpys(tmp_path: Path) -> None:
    make(tmp_path).put(b"a", rows(5))
    (path,) = files(tmp_path)
    numpy.testing.assert_array_equal(numpy.load(path), rows(5))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data + b"x",
        lambda data: bytes(len(data)),
        lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:],
        lambda data: b"not numpy's",
    ],
    ids=["empty", "last byte", "half", "longer", "zeros", "one bit", "another file"],
)
def test_a_damaged_file_is_as_none(tmp_path: Path, damage) -> None:
    cache = make(tmp_path)
    cache.put(b"a", rows(5))
    (path,) = files(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    assert cache.get(b"a") is None
    cache.put(b"a", rows(5))
    numpy.testing.assert_array_equal(cache.get(b"a"), rows(5))


def put_and_get(folder: Path) -> int:
    cache, hits = make(folder), 0
    for _ in range(20):
        for number in range(10):
            array = cache.get(bytes([number]))
            if array is None:
                cache.put(bytes([number]), rows(number))
            else:
                assert numpy.array_equal(array, rows(number))
                hits += 1
    return hits


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_processes_share_it(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3, get_context("fork")) as pool:
        assert all(hits >= 190 for hits in pool.map(put_and_get, [tmp_path] * 3))
    assert len(files(tmp_path)) == 10  # and nothing temporary


def test_a_full_disk_is_said_once(tmp_path: Path, monkeypatch) -> None:
    cache = make(tmp_path)

    def fail(*args) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.warns(UserWarning, match=r"^\[DW260\].*No space left"):
        cache.put(b"a", rows(5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.put(b"a", rows(5))
    assert not files(tmp_path)
    assert cache.get(b"a") is None


def test_no_folder_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"^\[D261\].*file"):
        make(tmp_path / "file" / "folder")
