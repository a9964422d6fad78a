"""Runs put together by row: means and standard deviations."""

from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any, NamedTuple

#: The scores of a table, with their headers.
F_SCORES = {
    "ents_micro_f": "entities, micro F1",
    "ents_macro_f": "entities, macro F1",
    "rel_micro_f": "relations, micro F1",
    "rel_macro_f": "relations, macro F1",
}


class Score(NamedTuple):
    """A score over runs, in percent; `std` is the sample's, and None with one run."""

    mean: float
    std: float | None
    values: list[float]

    def __str__(self) -> str:
        return f"{self.mean:.1f}" if self.std is None else f"{self.mean:.1f} ± {self.std:.1f}"


class Row(NamedTuple):
    """The runs of one row; `part` of the test data is "all" or "without_repeats"."""

    name: str
    part: str
    runs: list[dict[str, Any]]

    def score(self, key: str) -> Score:
        """Average a score, such as "rel_micro_f"."""
        values = [run["scores"][self.part][key] * 100 for run in self.runs]
        return Score(mean(values), stdev(values) if len(values) > 1 else None, values)

    @property
    def minutes(self) -> float:
        """The mean time of a training."""
        return mean(run["seconds"] for run in self.runs) / 60

    @property
    def n_parameters(self) -> int:
        """How many parameters a run trains; a fold that lacks a label has less."""
        return max(run["n_parameters"] for run in self.runs)


def summarize(runs: Sequence[dict[str, Any]]) -> list[Row]:
    """Put runs together by row, and where they have it by the part of the data they are scored on.

    runs (Sequence[Dict[str, Any]]): The results of `worker.work`.
    RETURNS (List[Row]): In the order of the runs.
    """
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for run in runs:
        for part in run["scores"]:
            rows.setdefault((run["row"], part), []).append(run)
    return [Row(name, part, members) for (name, part), members in rows.items()]
