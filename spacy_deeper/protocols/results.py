"""What a protocol found: one JSON file for all of its runs."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import srsly
from tqdm import tqdm

from ..errors import Errors
from ..training.convert import write_atomically
from .folder import RESULTS
from .pool import LOG, run_all
from .runs import Run, file_hash


def run_protocol(
    name: str,
    runs: Iterable[Run],
    output: Path,
    options: dict[str, Any],
    n_process: int = 1,
    *,
    about: dict[str, Any],
    silent: bool = True,
) -> dict[str, Any]:
    """Do the runs of a protocol, and keep its results file complete after each of them.

    name (str): The protocol's name.
    output (Path): The folder with `results.json`, and the runs in `runs`.
    options (Dict[str, Any]): What `worker.work` takes.
    about (Dict[str, Any]): What else is to stand in the results: their "title", and the name of a
        "paper"'s table or None.
    RETURNS (Dict[str, Any]): What is in `results.json`.
    """
    runs = list(runs)
    order = {run.name: i for i, run in enumerate(runs)}
    files = sorted({path for run in runs for path in (run.train, run.dev, run.test) if path})
    results: dict[str, Any] = {
        "protocol": name,
        **about,
        "options": options,
        "data": {str(path): file_hash(path) for path in files},
        "n_runs": len(runs),
        "runs": [],
    }

    def add(new: list[dict[str, Any]]) -> None:
        results["runs"] += new
        results["runs"].sort(key=lambda run: order[run["name"]])
        write_atomically(output / RESULTS, srsly.json_dumps(results, indent=1).encode() + b"\n")
        if not silent:
            for result in new:
                print_result(result)

    if not silent:
        logs = output / "runs" / "*" / LOG
        tqdm.write(f"{len(runs)} runs, up to {n_process} at a time. Their logs: {logs}")
    run_all(runs, output / "runs", options, n_process, on_results=add, silent=silent)
    return results


def find_results(paths: Iterable[Path]) -> list[Path]:
    """Find the results files: those named, and those in the folders named."""
    found = []
    for path in paths:
        if path.is_dir():
            files = sorted([*path.glob("*.json"), *path.glob(f"*/{RESULTS}")])
            if not files:
                raise ValueError(Errors.D340.format(path=path, problem="none is in this folder"))
            found += files
        else:
            found.append(path)
    return found


def is_begun(path: Path) -> bool:
    """Whether it is the results file of a protocol that has no finished run yet."""
    try:
        results = srsly.read_json(path)
        search = results["protocol"] == "search"
        return results["best"] is None if search else not results["runs"]
    except (OSError, ValueError, TypeError, KeyError):
        return False


def read_results(path: Path) -> dict[str, Any]:
    """Read a results file, and complain if it is none or has no run."""
    try:
        results: dict[str, Any] = srsly.read_json(path)
        if results["protocol"] == "search":
            usable = bool(results["title"] and results["best"]["settings"] and results["trials"])
        else:
            usable = bool(
                results["title"] and results["runs"][0]["scores"]["all"]["rel_micro_f"] >= 0
            )
        if not usable:
            raise ValueError("it has no finished run")
    except (TypeError, KeyError, IndexError):
        problem = "it is no results file with a finished run"
        raise ValueError(Errors.D340.format(path=path, problem=problem)) from None
    except (OSError, ValueError) as err:
        raise ValueError(Errors.D340.format(path=path, problem=err)) from None
    return results


def print_result(result: dict[str, Any]) -> None:
    """Print a line about one run."""
    scores = result["scores"]["all"]
    found = ", ".join(
        f"{title} {scores[f'{key}_micro_f'] * 100:.1f} / {scores[f'{key}_macro_f'] * 100:.1f}"
        for title, key in (("entities", "ents"), ("relations", "rel"))
    )
    minutes = result["seconds"] / 60
    tqdm.write(f"{result['name']}: {found} (micro / macro F1), {minutes:.1f} min")
