"""Pictures of results files, with matplotlib, which is optional."""

from io import BytesIO
from pathlib import Path
from typing import Any

from ..evaluation.plots import check_plot
from .paper import TABLES
from .summary import F_SCORES, Row, summarize

#: From so many rows on, bars are too many and a map shows them better.
MANY = 13


def plot(path: Path, result: dict[str, Any]) -> bytes:
    """Draw the F1 scores of each row: their mean, each run, and the paper's figure; or a search.

    path (Path): The file whose content to make: its suffix says which format.
    result (Dict[str, Any]): The content of a `results.json`.
    RETURNS (bytes): The content.
    """
    check_plot(path)
    # Not with pyplot, which would look for a screen.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.4), layout="constrained")
    if result["protocol"] == "search":
        _draw_search(figure, result)
    else:
        rows = [row for row in summarize(result["runs"]) if row.part == "all"]
        if result["protocol"] == "depths" and len(rows) >= MANY:
            _draw_map(figure, rows)
        else:
            _draw_bars(figure, rows, TABLES.get(result.get("paper") or "", {}))
    figure.suptitle(result["title"])
    content = BytesIO()
    figure.savefig(content, format=path.suffix.lstrip(".").lower(), dpi=150)
    return content.getvalue()


def _draw_bars(figure: Any, rows: list[Row], paper: dict[str, dict[str, float]]) -> None:
    """Draw one plot for entities and one for relations: means with their deviations, and runs."""
    keys = list(F_SCORES)
    for axes, pair in zip(figure.subplots(1, 2), (keys[:2], keys[2:]), strict=True):
        labelled: set[str] = set()

        def label(text: str, labelled: set[str] = labelled) -> str | None:
            new = text not in labelled
            labelled.add(text)
            return text if new else None

        for k, (key, color) in enumerate(zip(pair, ("tab:blue", "tab:orange"), strict=True)):
            for i, row in enumerate(rows):
                x, score = i + (k - 0.5) * 0.3, row.score(key)
                name = F_SCORES[key].partition(", ")[2]
                axes.errorbar(
                    x,
                    score.mean,
                    score.std,
                    fmt="o",
                    color=color,
                    capsize=4,
                    ms=7,
                    label=label(name),
                )
                axes.plot(
                    [x + 0.07] * len(score.values), score.values, ".", color=color, ms=5, alpha=0.5
                )
                theirs = paper.get(row.name, {}).get(key)
                if theirs is not None:
                    axes.plot(x, theirs, "_", color=color, ms=14, mew=2, label=label("the paper"))
        axes.set_xticks(range(len(rows)), [row.name for row in rows], rotation=20, ha="right")
        axes.set_title(F_SCORES[pair[0]].partition(", ")[0])
        axes.set_ylabel("F1")
        axes.margins(x=0.15)
        axes.grid(axis="y", alpha=0.3)
    # Both plots have the same: outside, where it covers no point.
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)


def _draw_map(figure: Any, rows: list[Row]) -> None:
    """Draw the mean micro F1 over the tasks' own depths, for each cell and shared depth."""
    grids: dict[tuple[str, int], dict[tuple[int, int], float]] = {}
    for row in rows:
        settings = row.runs[0]["settings"]
        cell, shared, ner, re = (
            settings[f"vars.{name}"] for name in ("cell", "shared_depth", "ner_depth", "re_depth")
        )
        value = (row.score("ents_micro_f").mean + row.score("rel_micro_f").mean) / 2
        grids.setdefault((cell, shared), {})[ner, re] = value
    values = [value for grid in grids.values() for value in grid.values()]
    for axes, ((cell, shared), grid) in zip(
        figure.subplots(1, len(grids), squeeze=False)[0], sorted(grids.items()), strict=True
    ):
        ners, res = sorted({ner for ner, _ in grid}), sorted({re for _, re in grid})
        table = [[grid.get((ner, re), float("nan")) for re in res] for ner in ners]
        image = axes.imshow(table, vmin=min(values), vmax=max(values), cmap="viridis")
        axes.set_xticks(range(len(res)), res)
        axes.set_yticks(range(len(ners)), ners)
        axes.set(title=f"{cell}, {shared} shared", xlabel="RE-specific", ylabel="NER-specific")
    figure.colorbar(image, ax=figure.axes, label="mean micro F1")


def _draw_search(figure: Any, result: dict[str, Any]) -> None:
    """Draw the score of each trial, pruned ones by their last, and the best one so far."""
    axes = figure.subplots()
    highest: list[float] = []
    for trial in result["trials"]:
        values = [trial["value"], *reversed(trial["intermediate"])]
        score = next((value * 100 for value in values if value is not None), None)
        if score is None:
            continue
        complete = trial["state"] == "complete"
        axes.plot(trial["number"], score, "o" if complete else "x", color="tab:blue", ms=5)
        if complete:
            highest.append(max([score, *highest]))
            axes.plot(trial["number"], highest[-1], "_", color="red", ms=10)
    axes.set(xlabel="trial (x: given up)", ylabel=" and ".join(result["metric"]))
