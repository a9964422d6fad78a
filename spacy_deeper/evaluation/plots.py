"""Pictures of scores, with matplotlib, which is optional."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from ..errors import Errors


def check_plot(path: Path) -> None:
    """Complain if a picture can't be drawn: there is no matplotlib, or it has no such format."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
    except ImportError as err:
        raise ValueError(Errors.D182.format(problem=err)) from err
    if _format(path) not in FigureCanvasAgg.filetypes:
        known = ", ".join(f".{name}" for name in sorted(FigureCanvasAgg.filetypes))
        raise ValueError(Errors.D183.format(path=path, suffix=path.suffix, known=known))


def plot_sweep(path: Path, points: Sequence[dict[str, Any]], best: float) -> bytes:
    """Draw precision, recall and F-score over the threshold, and precision over recall.

    path (Path): The file whose content to make: its suffix says which format.
    points (Sequence[Dict[str, Any]]): What `sweep` returns.
    best (float): The threshold to mark.
    RETURNS (bytes): The content.
    """
    check_plot(path)
    # Not with pyplot, which would look for a screen.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    over_threshold, over_recall = figure.subplots(1, 2)
    thresholds = [point["threshold"] for point in points]
    values = {m: [point[f"micro_{m}"] for point in points] for m in "prf"}
    for metric, name in (("p", "precision"), ("r", "recall"), ("f", "F-score")):
        over_threshold.plot(thresholds, values[metric], label=name)
    over_threshold.axvline(best, color="gray", linestyle=":", label=f"best: {best:.2f}")
    over_threshold.set(xlabel="threshold", ylabel="micro score", xlim=(0, 1), ylim=(0, 1))
    over_threshold.legend()
    over_recall.plot(values["r"], values["p"], color="black", linewidth=1)
    dots = over_recall.scatter(values["r"], values["p"], c=thresholds, vmin=0, vmax=1, s=12)
    at_best = thresholds.index(best)
    over_recall.plot(values["r"][at_best], values["p"][at_best], "o", color="none", mec="red", ms=9)
    over_recall.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1))
    figure.colorbar(dots, ax=over_recall, label="threshold")
    figure.suptitle("Relations end to end")
    content = BytesIO()
    figure.savefig(content, format=_format(path), dpi=150)
    return content.getvalue()


def _format(path: Path) -> str:
    return path.suffix.lstrip(".").lower()
