"""The folder beside the output that keeps what is done, so that a run can be continued.

    OUTPUT.work/manifest.json        what the run is: another one does not continue it
    OUTPUT.work/parts/               the output of each chunk, a whole file
    OUTPUT.work/failures/            and what failed in it
    OUTPUT.work/done/                and counts of it: written last, it says that a chunk is done
    OUTPUT.work/suspect              the number of a chunk that a process died of, or is busy with

Every file is there completely or not at all, whenever the process or the machine stops.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import srsly
from filelock import FileLock, Timeout

from ..errors import Errors
from .annotator import Part

LOCK, MANIFEST, TEMP, SUSPECT = ".lock", "manifest.json", "temp", "suspect"
PARTS, FAILURES, DONE = "parts", "failures", "done"


class WorkFolder:
    """The work folder of an output.

    output (Path): The file to write; without a suffix, a folder that the parts are moved to.
    suffix (str): Of the parts.
    """

    def __init__(self, output: Path, suffix: str) -> None:
        self.output = output
        self.suffix = suffix
        self.failures = output.with_name(f"{output.name}.failures.jsonl")
        self.path = output.with_name(f"{output.name}.work")

    def check_beside(self, files: Iterable[Path]) -> None:
        """Complain if one of the input's files is where the run writes or deletes."""
        ours = [(path, path.resolve()) for path in (self.output, self.failures, self.path)]
        for file in files:
            real = file.resolve()
            for path, resolved in ours:
                if real.is_relative_to(resolved):
                    raise ValueError(Errors.D427.format(path=path, input=file))

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep other processes out of the folder, which is made."""
        lock = FileLock(self.path / LOCK)
        with self._saying_why():
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise ValueError(Errors.D410.format(path=self.path)) from None
        try:
            yield
        finally:
            # Another process may come in between: then the folder is its own.
            with suppress(OSError):
                if [at.name for at in self.path.iterdir()] == [LOCK]:
                    (self.path / LOCK).unlink()
                    self.path.rmdir()
            lock.release()

    def begin(
        self, manifest: dict[str, Any], count: Callable[[], int], force: bool = False
    ) -> dict[str, Any]:
        """Begin a run, or find that it is the one to continue.

        manifest (dict[str, Any]): Plain data, the same for the same run.
        count (Callable): Counts the records of the input, when the run begins.
        force (bool): Begin anew in any case. An output that exists stays until the run is finished.
        RETURNS (dict[str, Any]): The manifest, with "records", those of the input. If the output
            is there already, and only the work folder is not gone yet, also "finished".
        RAISES (ValueError): If the run in the folder is another one, or the output exists.
        """
        path = self.path / MANIFEST
        if path.exists() and not force:
            found: dict[str, Any] = srsly.read_json(path)
            # A key that is newer than the run has a default, False.
            differing = [key for key in manifest if found.get(key, False) != manifest[key]]
            if differing:
                what = ", ".join(differing)
                raise ValueError(Errors.D411.format(path=self.path, what=what))
            return found
        if force:
            self._check_replaceable()
        elif self.output.is_file() or (self.output.is_dir() and any(self.output.iterdir())):
            raise ValueError(Errors.D413.format(path=self.output))
        manifest = {**manifest, "records": count()}  # or complain, before anything is lost
        with self._saying_why():
            path.unlink(missing_ok=True)  # first: what is there without it is no run
        self.clean_up()
        self._save_manifest(manifest)
        return manifest

    def done(self) -> dict[int, dict[str, int]]:
        """Return the counts of the chunks that are done, by their numbers: see `Part`."""
        return {int(path.stem): srsly.read_json(path) for path in self._files(DONE)}

    def save(self, part: Part) -> None:
        """Keep what became of a chunk."""
        name = f"{part.number:06d}"
        failures = b"".join(json.dumps(row).encode() + b"\n" for row in part.failures)
        self._write(self.path / PARTS / f"part-{name}{self.suffix}", part.data)
        self._write(self.path / FAILURES / f"{name}.jsonl", failures)
        self._write(self.path / DONE / f"{name}.json", srsly.json_dumps(part.counts).encode())

    def suspect(self) -> int | None:
        """Return the number of the chunk that a process may have died of, in an earlier run."""
        path = self.path / SUSPECT
        return int(path.read_text()) if path.exists() else None

    def set_suspect(self, number: int | None) -> None:
        """Keep it for the next run."""
        path = self.path / SUSPECT
        if number is not None:
            self._write(path, str(number).encode())
        else:
            path.unlink(missing_ok=True)

    def finish(
        self, manifest: dict[str, Any], join: Callable[[Iterable[Path], Path], None]
    ) -> None:
        """Make the output of the parts, and the failures file, and remove the folder.

        Stopped anywhere in here, a run that is continued comes here again and ends the same.

        manifest (dict[str, Any]): What `begin` returned, with counts as "finished".
        join (Callable): See `Output`.
        """
        with self._saying_why():
            failures = self.path / TEMP
            with failures.open("wb") as file:
                for path in self._files(FAILURES):
                    file.write(path.read_bytes())
            if failures.stat().st_size:
                _replace(failures, self.failures)
            else:
                self.failures.unlink(missing_ok=True)
                failures.unlink()
            parts = self.path / PARTS
            if self.output.suffix and not self.output.is_dir():
                temp = self.path / TEMP
                join(self._files(PARTS), temp)
                _replace(temp, self.output)
            elif parts.exists():
                if self.output.is_dir():
                    self._check_replaceable()
                    shutil.rmtree(self.output)
                self.output.unlink(missing_ok=True)
                os.replace(parts, self.output)
                _sync(self.output.parent)
            self._save_manifest(manifest)
            self.clean_up()

    def clean_up(self) -> None:
        """Remove what is left of a run that is finished."""
        with self._saying_why():
            self._clear()

    def _save_manifest(self, manifest: dict[str, Any]) -> None:
        self._write(self.path / MANIFEST, srsly.json_dumps(manifest, indent=1).encode() + b"\n")

    def _clear(self) -> None:
        for name in (PARTS, FAILURES, DONE):
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in (TEMP, SUSPECT, MANIFEST):
            (self.path / name).unlink(missing_ok=True)

    def _files(self, name: str) -> list[Path]:
        folder = self.path / name
        return sorted(folder.iterdir(), key=_number) if folder.exists() else []

    def _check_replaceable(self) -> None:
        """Complain if the output is a folder with other files than parts."""
        if self.output.is_dir():
            others = [at.name for at in self.output.iterdir() if not self._is_part(at)]
            if others:
                raise ValueError(Errors.D412.format(path=self.output, name=min(others)))

    def _is_part(self, path: Path) -> bool:
        return path.is_file() and path.name.startswith("part-")

    def _write(self, path: Path, data: bytes) -> None:
        temp = self.path / TEMP
        with self._saying_why():
            path.parent.mkdir(exist_ok=True)
            temp.write_bytes(data)
            _replace(temp, path)

    @contextmanager
    def _saying_why(self) -> Iterator[None]:
        try:
            yield
        except OSError as err:
            problem = err.strerror or str(err)
            raise ValueError(Errors.D414.format(path=self.output, problem=problem)) from None


def totals(counts: Iterable[dict[str, int]]) -> Counter[str]:
    """Add the counts of chunks up."""
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return total


def _number(path: Path) -> int:
    return int(path.stem.removeprefix("part-"))


def _replace(temp: Path, path: Path) -> None:
    """Move a file in place of another one, so that it is there even after a power failure."""
    with temp.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(temp, path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """See that a folder's entries are on disk."""
    if os.name == "nt":  # where a folder can't be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
