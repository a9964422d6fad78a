"""Tables of results."""

from dataclasses import dataclass
from typing import Any

from wasabi import msg, table


@dataclass
class Table:
    """Figures, a row for each thing that was measured.

    note: What the columns mean, where they don't say it themselves.
    """

    title: str
    columns: list[str]
    rows: list[list[Any]]
    note: str = ""

    def show(self) -> None:
        """Print it."""
        msg.divider(self.title)
        aligns = ["l", *("r" for _ in self.columns[1:])]
        cells = [[cell(value) for value in row] for row in self.rows]
        text = table(cells, header=self.columns, aligns=aligns, divider=True, max_col=100)
        print(text, flush=True)
        if self.note:
            print(self.note, flush=True)

    def markdown(self, level: str = "###") -> str:
        """Return it for a page, below a heading of that level."""
        rules = ["---", *("---:" for _ in self.columns[1:])]
        lines = [self.columns, rules, *([cell(value) for value in row] for row in self.rows)]
        rows = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return "\n\n".join(part for part in (f"{level} {self.title}", self.note, rows) if part)


def cell(value: Any) -> str:
    """Return a figure with three digits that count."""
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
