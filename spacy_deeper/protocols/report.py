"""Results files as Markdown, beside the paper's figures."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from wasabi import MarkdownRenderer

from .paper import SETTING, TABLES
from .summary import F_SCORES, Row, summarize

METRICS = {"p": "P", "r": "R", "f": "F1"}
#: So many rows of a large grid are shown, the best ones.
MAX_ROWS = 12


class Table(NamedTuple):
    """A table of texts, for a page or a terminal."""

    header: tuple[str, ...]
    data: Sequence[tuple[str, ...]]

    @property
    def aligns(self) -> list[Literal["l", "r"]]:
        """Names to the left, numbers to the right."""
        return ["r" if column else "l" for column in range(len(self.header))]


def render(results: Sequence[dict[str, Any]], title: str, pictures: Sequence[str | None]) -> str:
    """Write a results page.

    results (Sequence[Dict[str, Any]]): The contents of `results.json` files.
    title (str): The page's title.
    pictures (Sequence[Optional[str]]): Paths or addresses of a picture for each, if there is one.
    RETURNS (str): Markdown.
    """
    md = MarkdownRenderer()
    md.add(md.title(1, title))
    md.add(
        "Strict scores in percent, mean ± standard deviation over runs. An entity counts if its "
        "span and type are right, a relation if both of its entities, its direction and its label "
        "are. Written by `python -m spacy relations protocol report`."
    )
    for result, picture in zip(results, pictures, strict=True):
        md.add(md.title(2, result["title"]))
        md.add(describe(result))
        md.add(_markdown(md, main_table(result)))
        if result["protocol"] != "search":
            n_rows = len(summarize(result["runs"]))
            if n_rows > len(_shown(result)):
                md.add(f"The {MAX_ROWS} best by relations, of {n_rows}.")
            if len({run["row"] for run in result["runs"]}) == 1:
                md.add(_markdown(md, precision_table(result)))
        if picture is not None:
            md.add(f"![{result['title']}]({picture})")
    return str(md.text) + "\n"


def describe(result: dict[str, Any]) -> str:
    """RETURNS (str): What was run, on what."""
    if result["protocol"] == "search":
        trials = result["trials"]
        states = Counter(trial["state"] for trial in trials)
        counts = ", ".join(f"{n} {state}" for state, n in states.items())
        done = f"{len(trials)} trials ({counts})"
        how = f"the mean of {', '.join(result['metric'])} of the last checkpoint counts"
        environments = [result]
    else:
        trials = environments = result["runs"]
        seeds = ", ".join(str(seed) for seed in sorted({run["seed"] for run in trials}))
        of = "" if len(trials) == result["n_runs"] else f" of {result['n_runs']}"
        done = f"{len(trials)}{of} runs, seeds {seeds}"
        n_docs = "/".join(str(n) for n in sorted({run["n_test"]["all"] for run in trials}))
        how = (
            f"the {result['options']['select']} checkpoint of each is scored on {n_docs} documents"
        )
    if "folds" in result:
        how += (
            f". {result['folds']} folds, seed {result['split_seed']}, stratified by the number of "
            f"relations, after {result['dev_fraction']:.0%} of the documents were held out"
        )
    hours = sum(trial["seconds"] or 0 for trial in trials) / 3600
    where = " or ".join(sorted({_environment(item) for item in environments}))
    return (
        f"Protocol `{result['protocol']}`: {done}; {how}. {hours:.1f} hours of training, {where}."
    )


def _environment(item: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {number}" for name, number in item["versions"].items())
    threads = f", {item['threads']} thread(s)" if "threads" in item else ""
    machine = item["machine"]
    return f"on {machine['cpu']}{threads}, with Python {machine['python']}, {packages}"


def main_table(result: dict[str, Any]) -> Table:
    """RETURNS (Table): What a results file says first: the settings of a search, or F1 by row."""
    return settings_table(result) if result["protocol"] == "search" else score_table(result)


def settings_table(result: dict[str, Any]) -> Table:
    """RETURNS (Table): The best settings of a search beside those of its first trial."""
    best = result["best"]
    first = next(trial for trial in result["trials"] if trial["state"] == "complete")
    importances = result["importances"] or {}
    data = [
        (
            f"`{key}`",
            f"{value:.3g}" if isinstance(value, float) else str(value),
            str(first["settings"].get(key, "")),
            f"{importances[key]:.2f}" if key in importances else "",
        )
        for key, value in sorted(
            best["settings"].items(), key=lambda item: -importances.get(item[0], 0.0)
        )
    ]
    data.insert(0, ("score", f"{best['score'] * 100:.1f}", f"{first['value'] * 100:.1f}", ""))
    header = (
        "",
        f"trial {best['number']}, the best",
        f"trial {first['number']}, the first",
        "importance",
    )
    return Table(header, data)


def _shown(result: dict[str, Any]) -> list[Row]:
    """Of a grid the best rows are of interest; of variants, all that were asked for."""
    rows = summarize(result["runs"])
    if len(rows) > MAX_ROWS and result["protocol"] == "depths":
        rows = sorted(rows, key=lambda row: -row.score("rel_micro_f").mean)[:MAX_ROWS]
    return rows


def score_table(result: dict[str, Any]) -> Table:
    """RETURNS (Table): F1 by row, with the paper's figures below each row."""
    paper = TABLES.get(result.get("paper") or "", {})
    data = []
    for row in _shown(result):
        found = [str(row.score(key)) for key in F_SCORES]
        data.append((_name(row), str(len(row.runs)), f"{row.n_parameters:,}", *found))
        figures = paper.get(row.name, {})
        if figures and row.part == "all":
            theirs = [f"{figures[key]:.1f}" if key in figures else "" for key in F_SCORES]
            data.append((f"— the paper, on test ({SETTING})", "", "", *theirs))
    return Table(("", "runs", "parameters", *F_SCORES.values()), data)


def precision_table(result: dict[str, Any]) -> Table:
    """RETURNS (Table): Precision, recall and F1 of a protocol with one row."""
    paper = TABLES.get(result.get("paper") or "", {})
    data = []
    for row in summarize(result["runs"]):
        for key, title in (("ents", "entities"), ("rel", "relations")):
            for mean in ("micro", "macro"):
                names = [f"{key}_{mean}_{metric}" for metric in METRICS]
                found = [str(row.score(name)) for name in names]
                figures = paper.get(row.name, {}) if row.part == "all" else {}
                theirs = [f"{figures[name]:.1f}" if name in figures else "" for name in names]
                data.append((f"{title}, {mean}{_part(row)}", *found, *(theirs if paper else ())))
    header = ["", *METRICS.values()]
    if paper:
        header += [f"the paper's {metric}" for metric in METRICS.values()]
    return Table(tuple(header), data)


def _markdown(md: MarkdownRenderer, table: Table) -> str:
    return md.table(table.data, table.header, aligns=table.aligns)


def _name(row: Row) -> str:
    return f"{row.name}{_part(row)}"


def _part(row: Row) -> str:
    return ", without texts of the training data" if row.part == "without_repeats" else ""
