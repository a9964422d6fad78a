"""Results: on the terminal, as JSON, and as a page made from that JSON."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wasabi import msg, table

PAGE = """# Benchmarks

Written by `python -m benchmarks` from `{source}`; don't edit it.

{about}
"""


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
        print(table(cells, header=self.columns, aligns=aligns, divider=True), flush=True)
        if self.note:
            print(self.note, flush=True)

    def markdown(self) -> str:
        """Return it for a page."""
        rules = ["---", *("---:" for _ in self.columns[1:])]
        lines = [self.columns, rules, *([cell(value) for value in row] for row in self.rows)]
        rows = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return "\n\n".join(part for part in (f"### {self.title}", self.note, rows) if part)


def cell(value: Any) -> str:
    """Return a figure with three digits that count."""
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def save(path: Path, about: dict[str, Any], results: dict[str, list[Table]]) -> None:
    """Write results as JSON, and their page beside it.

    Benchmarks that the file has already, and that did not run, stay as they are: each says how it
    was run.
    """
    known = json.loads(path.read_text(encoding="utf8")) if path.exists() else {}
    for name, tables in results.items():
        known[name] = {"about": about, "tables": [asdict(found) for found in tables]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(known, indent=2) + "\n", encoding="utf8")
    path.with_suffix(".md").write_text(page(known, path.name), encoding="utf8")


def page(results: dict[str, Any], source: str) -> str:
    """Return the page of saved results."""
    # Most often all of them were run together: what they share is said once.
    runs = [json.dumps(result["about"], sort_keys=True) for result in results.values()]
    together = len(set(runs)) == 1
    parts = [PAGE.format(source=source, about=described(results) if together else "").rstrip()]
    for name, result in results.items():
        parts.append(f"## {name}")
        if not together:
            parts.append(described({name: result}))
        parts += [Table(**found).markdown() for found in result["tables"]]
    return "\n\n".join(parts) + "\n"


def described(results: dict[str, Any]) -> str:
    """Return what the figures depend on."""
    about = next(iter(results.values()))["about"]
    return "\n".join(f"- {name}: {value}" for name, value in about.items())
