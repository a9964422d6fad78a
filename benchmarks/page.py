"""Saved results: JSON, and a page made from that JSON."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .report import Table
from .targets import compared

PAGE = """# Benchmarks

Written by `python -m benchmarks` from [{source}]({source}); don't edit it. What is compared took
turns on one machine; times are medians of the repeats that are named, but where a table says other.
The same thing may differ by a sixth from table to table: compare within one.

{about}
"""


def save(path: Path, about: dict[str, Any], what: str, name: str, tables: list[Table]) -> None:
    """Write the results of a benchmark to a JSON file, and its page beside it.

    Other benchmarks that the file has stay as they are: each says how it was run.

    about: What the figures depend on.
    what: What the benchmark measures.
    """
    known = json.loads(path.read_text(encoding="utf8")) if path.exists() else {}
    known[name] = {"what": what, "about": about, "tables": [asdict(found) for found in tables]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(known, indent=2) + "\n", encoding="utf8")
    path.with_suffix(".md").write_text(page(known, path.name), encoding="utf8")


def page(results: dict[str, Any], source: str) -> str:
    """Return the page of saved results."""
    tables = {
        name: [Table(**found) for found in result["tables"]] for name, result in results.items()
    }
    abouts = [result["about"].items() for result in results.values()]
    # What all runs share is said once.
    common = [item for item in abouts[0] if all(item in about for about in abouts)]
    parts = [PAGE.format(source=source, about=described(common)).rstrip()]
    targets = compared(tables)
    if targets.rows:
        parts.append(targets.markdown("##"))
    for (name, result), about in zip(results.items(), abouts, strict=True):
        parts += [f"## {name}", result["what"]]
        if len(common) < len(about):
            parts.append(described(item for item in about if item not in common))
        parts += [table.markdown() for table in tables[name]]
    return "\n\n".join(parts) + "\n"


def described(about: Iterable[tuple[str, Any]]) -> str:
    """Return what figures depend on."""
    return "\n".join(f"- {name}: {value}" for name, value in about)
