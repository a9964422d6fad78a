"""Many runs, each in a process of its own, some of them at a time."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import srsly
from tqdm import tqdm

from ..devices import n_cores
from ..errors import Errors
from ..training.convert import write_atomically
from .runs import Run
from .worker import JOB, PROGRESS, RESULT

LOG = "log.txt"
WORKER = [sys.executable, "-m", "spacy_deeper.protocols.worker"]
#: Seconds between two looks at a run's progress.
INTERVAL = 0.5


class Stopped(Exception):
    """A run was given up on before its end."""


def run_all(
    runs: Iterable[Run],
    folder: Path,
    options: dict[str, Any],
    n_process: int = 1,
    *,
    on_results: Callable[[list[dict[str, Any]]], None] = lambda results: None,
    silent: bool = True,
) -> list[dict[str, Any]]:
    """Run what is not finished yet, `n_process` at a time.

    A run that fails does not stop the others. When this process ends, so do those of the runs.

    runs (Iterable[Run]): The runs, of different names.
    folder (Path): Where to keep them, a folder for each.
    options (Dict[str, Any]): What `worker.work` takes.
    on_results (Callable[[List[Dict[str, Any]]], None]): Called with the results that are there
        already, and with each new one.
    silent (bool): Show no progress. It is never shown where there is no terminal.
    RETURNS (List[Dict[str, Any]]): The results in the order of the runs: see `worker.work`.
    """
    runs = list(runs)
    found = {run.name: finished(run, folder, options) for run in runs}
    results = {name: result for name, result in found.items() if result is not None}
    if results:
        on_results(list(results.values()))
    failed = []
    missing = [run for run in runs if run.name not in results]
    n_process = min(n_process, len(runs))  # as in a first start, so that threads are as many
    bar = tqdm(total=len(runs), unit="run", disable=silent or None, bar_format=BAR)
    bar.update(len(results))
    stop = Event()
    with bar, ThreadPoolExecutor(n_process) as pool:
        jobs = {}
        for run in missing:
            update = Share(bar)
            jobs[pool.submit(execute, run, folder, options, n_process, update, stop)] = run
        try:
            for job in as_completed(jobs):
                run = jobs[job]
                try:
                    results[run.name] = job.result()
                except (RuntimeError, OSError) as problem:
                    failed.append((run, problem))
                else:
                    on_results([results[run.name]])
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    if failed:
        run, why = failed[0]
        log = folder / run.name / LOG
        counts = {"failed": len(failed), "total": len(runs)}
        raise ValueError(Errors.D302.format(**counts, log=log, problem=why))
    return [results[run.name] for run in runs]


BAR = "{l_bar}{bar}| {n:.1f}/{total_fmt} runs [{elapsed}<{remaining}]"


class Share:
    """Move a bar on by what one of its units has done since the last call."""

    def __init__(self, bar: "tqdm[Any]") -> None:
        self.bar = bar
        self.done = 0.0

    def __call__(self, progress: dict[str, Any]) -> None:
        done = min(1.0, progress["step"] / progress["n_steps"])
        with self.bar.get_lock():
            self.bar.update(done - self.done)
        self.done = done


def finished(run: Run, folder: Path, options: dict[str, Any]) -> dict[str, Any] | None:
    """Return the result of a run that is finished, or None; complain if it is another run's."""
    path = folder / run.name / RESULT
    if not path.exists():
        return None
    try:
        result: dict[str, Any] = srsly.read_json(path)
        known = result["fingerprint"] == run.fingerprint(options)
    except (ValueError, TypeError, KeyError):
        known = False  # it is no result
    if not known:
        raise ValueError(Errors.D300.format(path=path.parent))
    return result


def execute(
    run: Run,
    folder: Path,
    options: dict[str, Any],
    n_process: int,
    on_progress: Callable[[dict[str, Any]], None],
    stop: Event | None = None,
) -> dict[str, Any]:
    """Do one run in a process of its own, and wait for its result.

    on_progress (Callable[[Dict[str, Any]], None]): Called now and then with what the worker has
        in its progress file. If it raises, or `stop` is set, the process is killed.
    RETURNS (Dict[str, Any]): See `worker.work`.
    RAISES (RuntimeError): If it fails, with the last line of its log, or what killed it.
    """
    here = folder / run.name
    here.mkdir(parents=True, exist_ok=True)
    (here / PROGRESS).unlink(missing_ok=True)
    job = {"run": run.to_dict(), "options": options, "fingerprint": run.fingerprint(options)}
    write_atomically(here / JOB, srsly.json_dumps(job, indent=1).encode() + b"\n")
    with open(here / LOG, "w", encoding="utf-8") as log, _process(here, log, n_process) as process:
        while True:
            try:
                process.wait(INTERVAL)
                break
            except subprocess.TimeoutExpired:
                if stop is not None and stop.is_set():
                    raise Stopped from None
                if (here / PROGRESS).exists():
                    on_progress(srsly.read_json(here / PROGRESS))
    if process.returncode < 0:
        raise RuntimeError(f"killed by {signal.Signals(-process.returncode).name}")
    if process.returncode > 0:
        lines = (here / LOG).read_text("utf-8", "replace").splitlines()
        raise RuntimeError(next((line for line in reversed(lines) if line.strip()), "no output"))
    on_progress(srsly.read_json(here / PROGRESS))
    result: dict[str, Any] = srsly.read_json(here / RESULT)
    return result


@contextmanager
def _process(here: Path, log: Any, n_process: int) -> "Iterator[subprocess.Popen[bytes]]":
    """Start the worker of a run's folder, and see that nothing is left of it."""
    # Processes that compete for cores with all of their threads stall each other.
    threads = str(max(1, n_cores() // n_process))
    env = {"OMP_NUM_THREADS": threads, **os.environ, "PYTHONIOENCODING": "utf-8"}
    # The worker ends when its standard input does: see `worker.end_with_parent`.
    pipes = {"stdin": subprocess.PIPE, "stdout": log, "stderr": subprocess.STDOUT}
    with subprocess.Popen([*WORKER, str(here)], env=env, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()
