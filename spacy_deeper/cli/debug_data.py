"""`relations debug-data`: what annotated data holds, and what in it to put right."""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from tqdm import tqdm
from wasabi import msg
from wasabi.util import can_render, locale_escape

from ..errors import Errors
from ..training.debug_data import RARE, Analysis, Finding, analyse, histogram
from ._util import one_line, one_line_errors, say_good

if TYPE_CHECKING:
    from spacy.tokens import Doc
    from spacy.vocab import Vocab

MAX_ROWS = 40  # of a table
MAX_PLACES = 25  # of a finding
BAR = 24  # characters of the longest bar


def debug_data_cli(
    train: Annotated[
        Path, typer.Argument(..., help="Training data, a .spacy file or a folder of them")
    ],
    dev: Annotated[Path | None, typer.Argument(..., help="Development data, likewise")] = None,
    test: Annotated[Path | None, typer.Option("--test", help="Test data, likewise")] = None,
    rare: Annotated[
        int,
        typer.Option("--rare", min=0, help="Signatures with fewer relations than this are rare"),
    ] = RARE,
    json: Annotated[
        Path | None, typer.Option("--json", "-o", help="JSON file to write everything to")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-V", help="List the places of what was found")
    ] = False,
) -> None:
    """Look through annotated data: counts, leaks between the splits, likely mistakes.

    The exit status is 1 if a training on the data would fail: without relations or entities, or
    with relations between entities that have no type.
    """
    import spacy
    import srsly

    from ..training.convert import write_atomically

    with one_line_errors():
        given = {"train": train, "dev": dev, "test": test}
        paths = {name: path for name, path in given.items() if path is not None}
        _check_output(json, (file for path in paths.values() for file in _files(path)))
        vocab = spacy.blank("xx").vocab
        # Where the docs of each file begin is known once it was read.
        begins: dict[str, dict[Path, int]] = {name: {} for name in paths}
        docs = {name: _read(name, path, vocab, begins[name]) for name, path in paths.items()}
        analysis = analyse(docs, rare=rare)
        _print_tables(analysis)
        msg.divider("Findings")
        for finding in analysis.findings:
            _print_finding(finding, begins, verbose)
        _print_summary(analysis, verbose)
        if json is not None:
            content = {
                "files": {
                    name: [{"path": str(path), "first_doc": i} for path, i in first.items()]
                    for name, first in begins.items()
                },
                **analysis.to_dict(),
            }
            write_atomically(json, srsly.json_dumps(content, indent=2).encode() + b"\n")
            say_good(f"Saved everything to {json}")
    if any(finding.level == "fail" for finding in analysis.findings):
        raise typer.Exit(1)


def _files(path: Path) -> list[Path]:
    """Find the files of a path as spaCy's `Corpus` does, in a stable order."""
    from spacy.training.corpus import walk_corpus

    if not path.exists():
        raise ValueError(Errors.D161.format(path=path, problem="there is no such file or folder."))
    if not path.is_dir():
        return [path]
    with warnings.catch_warnings():
        # That there is no .spacy file in a folder is an error to us, and said below.
        warnings.filterwarnings("ignore", message=r"\[W090\]")
        files = sorted(walk_corpus(path, ".spacy"))
    if not files:
        raise ValueError(Errors.D161.format(path=path, problem="it has no .spacy files."))
    return files


def _check_output(json: Path | None, inputs: Iterable[Path]) -> None:
    if json is not None and json.resolve() in (path.resolve() for path in inputs):
        raise ValueError(Errors.D154.format(path=json))


def _read(name: str, path: Path, vocab: "Vocab", begins: dict[Path, int]) -> "Iterator[Doc]":
    """Read the docs one by one: of a `Corpus`, all would be in memory, twice."""
    from spacy.tokens import DocBin

    count = 0
    with tqdm(desc=name, unit=" docs", leave=False, disable=None) as progress:
        for file in _files(path):
            begins[file] = count
            # A file that is no DocBin fails in zlib or msgpack, each with exceptions of its own.
            try:
                docs = DocBin().from_disk(file).get_docs(vocab)
            except Exception as err:
                raise _unreadable(file, err) from err
            while True:
                try:
                    doc = next(docs)
                except StopIteration:
                    break
                except Exception as err:
                    raise _unreadable(file, err) from err
                count += 1
                progress.update()
                yield doc
    if not count:
        raise ValueError(Errors.D161.format(path=path, problem="it has no documents."))


def _unreadable(path: Path, err: Exception) -> ValueError:
    problem = f"it is no .spacy data ({one_line(err) or type(err).__name__})."
    return ValueError(Errors.D161.format(path=path, problem=problem))


def _print_tables(analysis: Analysis) -> None:
    splits = analysis.splits
    msg.divider("Documents")
    counts: dict[str, Any] = {
        name: {
            "documents": split.docs,
            "tokens": split.tokens,
            "longest document": split.longest_doc,
            "without entities": split.docs_without_ents,
            "without relations": split.docs_without_relations,
            "entities": split.ents.total(),
            "relations": split.relations.total(),
            "ordered pairs of entities": split.pairs,
            "related pairs": split.related_pairs,
        }
        for name, split in splits.items()
    }
    _print_counts([""], {(row,): row for row in counts["train"]}, counts)
    msg.divider("Labels")
    for title, key in (("Entities", "ents"), ("Relations", "relations")):
        counts = {name: getattr(split, key) for name, split in splits.items()}
        labels = sorted({label for split in counts.values() for label in split})
        _print_counts([title], {(label,): label for label in labels}, counts)
    msg.divider("Signatures")
    counts = {name: split.signatures for name, split in splits.items()}
    total = sum(counts.values(), start=type(analysis.train.signatures)())
    _print_counts(["Head", "Relation", "Tail"], {k: k for k, _ in total.most_common()}, counts)
    msg.divider("Tokens between head and tail")
    _print_histogram({name: histogram(split.distances) for name, split in splits.items()})
    _print_pair_tables(analysis)
    msg.divider("Repeated texts and known pairs")
    header = ["Documents of", *(f"also in {name}" for name in splits)]
    rows = [(name, *row.values()) for name, row in analysis.repeats.items()]
    _print_table(header, rows)
    known = [
        (
            name,
            f"{beside.unseen_entity_texts} of {beside.entity_texts}",
            f"{beside.unseen_pairs} of {beside.pairs}",
            f"{beside.relations_of_unseen_pairs} of {beside.relations}",
            f"{beside.known_relations} of {beside.relations}",
        )
        for name, beside in analysis.comparisons.items()
    ]
    if known:
        header = [
            "Beside train",
            "New entity texts",
            "New pairs",
            "Their relations",
            "Known triples",
        ]
        _print_table(header, known)


def _print_pair_tables(analysis: Analysis) -> None:
    splits = analysis.splits
    rows: dict[tuple[str, ...], Any] = {}
    for split in splits.values():
        rows |= {("both directions", label): ("symmetric", label) for label in split.symmetric}
        rows |= {("there and back", " / ".join(k)): ("inverse", k) for k in split.inverse}
        rows |= {("several labels", " + ".join(k)): ("several", k) for k in split.several}
    counts = {
        name: {row: getattr(split, row[0])[row[1]] for row in rows.values()}
        for name, split in splits.items()
    }
    if rows:
        msg.divider("Pairs with more than one relation")
        _print_counts(["Pairs with", "Labels"], rows, counts)
    keys = sorted({key for split in splits.values() for key in split.spans})
    if keys:
        msg.divider("Spans in doc.spans")
        spans: dict[tuple[str, ...], Any] = {(key, "all"): ("spans", key) for key in keys}
        spans |= {(key, "overlapping"): ("overlapping_spans", key) for key in keys}
        counts = {
            name: {row: getattr(split, row[0])[row[1]] for row in spans.values()}
            for name, split in splits.items()
        }
        _print_counts(["Key", "Spans"], dict(sorted(spans.items())), counts)


def _print_histogram(counts: Mapping[str, Mapping[str, int]]) -> None:
    block = "█" if can_render("█") else "#"
    # "overlap", which comes first, is not in each of them.
    order = max(counts.values(), key=len)
    header = ["Tokens"]
    for name in counts:
        header += [name, "", ""]
    rows = []
    for b in order:
        row = [b]
        for split in counts.values():
            n, total = split.get(b, 0), sum(split.values())
            most = max(split.values(), default=0)
            # What is there is seen: one block at least.
            bar = block * max(round(BAR * n / most), 1) if n else ""
            row += [str(n), f"{100 * n / total:.1f} %" if total else "", bar]
        rows.append(row)
    _print_table(header, rows, ["r", *["r", "r", "l"] * len(counts)])


def _print_counts(
    header: list[str], rows: Mapping[tuple[str, ...], Any], counts: Mapping[str, Mapping[Any, int]]
) -> None:
    """Print a table of counts: what a row is called, then the count of its key in each split."""
    table = [
        (*(name or "(no type)" for name in names), *(split[key] for split in counts.values()))
        for names, key in rows.items()
    ]
    aligns = [*["l"] * len(header), *["r"] * len(counts)]
    _print_table([*header, *counts], table, aligns)


def _print_table(header: list[str], rows: list[Any], aligns: list[str] | None = None) -> None:
    if not rows:
        msg.text("None")
        return
    aligns = aligns or ["l", *["r"] * (len(header) - 1)]
    shown = [[_printable(cell) for cell in row] for row in rows[:MAX_ROWS]]
    msg.table(shown, header=header, aligns=aligns, divider=True, max_col=60)
    if len(rows) > MAX_ROWS:
        msg.text(f"... and {len(rows) - MAX_ROWS} more rows: --json writes all of them")


def _print_finding(
    finding: Finding, begins: Mapping[str, Mapping[Path, int]], verbose: bool
) -> None:
    # They have no types in wasabi.
    show: dict[str, Any] = {"fail": msg.fail, "warn": msg.warn, "info": msg.info, "good": msg.good}
    show[finding.level](_printable(finding.text), finding.advice or None)
    if not verbose:
        return
    for place in finding.places[:MAX_PLACES]:
        where = f"    {place.split} {_document(place.doc, begins[place.split])}"
        typer.echo(_printable(f"{where}  {place.detail}" if place.detail else where))
        typer.secho(_printable(f"        {place.text}"), dim=True)
    if len(finding.places) > MAX_PLACES:
        typer.echo(
            f"    ... and {len(finding.places) - MAX_PLACES} more: --json writes all of them"
        )


def _document(doc: int, begins: Mapping[Path, int]) -> str:
    """Name a document by its index, and in a folder by that in its file as well."""
    if len(begins) == 1:
        return str(doc)
    path, first = [(path, first) for path, first in begins.items() if first <= doc][-1]
    return f"{doc} ({path.name} {doc - first})"


def _print_summary(analysis: Analysis, verbose: bool) -> None:
    msg.divider("Summary")
    levels = [finding.level for finding in analysis.findings]
    for what, level, show in (
        ("checks passed", "good", msg.good),
        ("warnings", "warn", msg.warn),
        ("errors, at which a training fails", "fail", msg.fail),
    ):
        if level in levels:
            show(f"{what[0].upper()}{what[1:]}: {levels.count(level)}")
    if not verbose and any(finding.places for finding in analysis.findings):
        msg.text("Documents are counted from 0: --verbose lists the places of what was found")


def _printable(text: object) -> str:
    """Replace what a terminal can't show, or would take for a command."""
    return str(locale_escape("".join(c if c.isprintable() else "?" for c in str(text))))
