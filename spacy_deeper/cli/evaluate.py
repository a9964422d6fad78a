"""`relations evaluate`: the scores of a pipeline on annotated data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from wasabi import msg

from ..errors import Errors
from ._util import load_pipeline, one_line, one_line_errors, read_examples, say_good

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spacy.language import Language

#: How the scores' names read in a table.
ERRORS = {
    "entity_missed": "entity missed",
    "entity_mistyped": "entity mis-typed",
    "wrong_direction": "wrong direction",
    "wrong_label": "wrong label",
    "pair_missed": "pair missed",
    "pair_invented": "pair invented",
    "total": "total",
}
SIDES = {"fn": "missed", "fp": "invented"}
LOST = {
    "cuts_token": "begin or end within a token",
    "overlaps": "overlap another",
    "no_type": "have no type",
}


def evaluate_cli(
    model: Annotated[str, typer.Argument(help="Pipeline name or path")],
    data: Annotated[Path, typer.Argument(help="Annotated data, a .spacy file or a folder of them")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="JSON file to write the scores to")
    ] = None,
    gpu_id: Annotated[int, typer.Option("--gpu-id", "-g", help="GPU ID or -1 for CPU")] = -1,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            "-t",
            min=0.0,
            max=1.0,
            help="Use this threshold of relation_scorer instead of its own",
        ),
    ] = None,
) -> None:
    """Score the entities and relations that a pipeline predicts.

    An entity is right if its span and its type are; a relation is right if its label, its direction
    and both of its entities are. Under "boundaries", types do not matter. Relations are scored end
    to end and, with relation_scorer alone, between the gold entities; their errors are split by
    what went wrong.
    """
    import srsly

    from ..evaluation import evaluate
    from ..training.convert import write_atomically

    with one_line_errors():
        _use_gpu(gpu_id)
        nlp = load_pipeline(model)
        if threshold is not None:
            _set_threshold(nlp, threshold)
        scores = evaluate(nlp, read_examples(nlp, data))
        _print_scores(scores)
        if output is not None:
            write_atomically(output, srsly.json_dumps(scores, indent=2).encode() + b"\n")
            say_good(f"Saved the scores to {output}")


def _use_gpu(gpu_id: int) -> None:
    from thinc.api import require_gpu

    if gpu_id >= 0:
        try:
            require_gpu(gpu_id)
        # No GPU, no cupy, no such ID: each has its own exception.
        except Exception as err:
            problem = one_line(err)
            raise ValueError(Errors.D163.format(gpu_id=gpu_id, problem=problem)) from err


def _set_threshold(nlp: "Language", threshold: float) -> None:
    if "relation_scorer" not in nlp.pipe_names:
        raise ValueError(Errors.D162.format(known=", ".join(nlp.pipe_names)))
    nlp.get_pipe("relation_scorer").threshold = threshold  # type: ignore[attr-defined]


def _print_scores(scores: dict[str, Any]) -> None:
    _print_table("Entities", scores, "ents", boundaries=True)
    _print_table("Relations end to end", scores, "rel", boundaries=True)
    errors = {"": scores["rel_errors"]}
    if "rel_gold_entities" in scores:
        # There, types are the gold ones.
        _print_table("Relations on gold entities", scores, "rel_gold", boundaries=False)
        lost = scores["rel_gold_entities"]
        if lost["lost"]:
            reasons = ", ".join(f"{lost[key]} {text}" for key, text in LOST.items() if lost[key])
            msg.warn(f"{lost['lost']} of {lost['total']} gold entities are lost there: {reasons}")
        errors["on gold "] = scores["rel_gold_errors"]
    columns = [counts[side] for counts in errors.values() for side in SIDES]
    rows = [(text, *(column[key] for column in columns)) for key, text in ERRORS.items()]
    header = ["Relation errors", *(f"{of}{side}" for of in errors for side in SIDES.values())]
    msg.table(rows, header=header, aligns=["l"] + ["r"] * (len(header) - 1), divider=True)


def _print_table(title: str, scores: dict[str, Any], prefix: str, boundaries: bool) -> None:
    prefixes = [prefix, f"{prefix}_boundaries"] if boundaries else [prefix]
    by_label = [scores[f"{name}_per_type"] for name in prefixes]
    rows = [(label, *_percent(prf[label] for prf in by_label)) for label in by_label[0]]
    for mean in ("micro", "macro"):
        prfs = ({m: scores[f"{name}_{mean}_{m}"] for m in "prf"} for name in prefixes)
        rows.append((mean, *_percent(prfs)))
    header = [title, "P", "R", "F", *(["boundaries P", "R", "F"] if boundaries else [])]
    msg.table(rows, header=header, aligns=["l"] + ["r"] * (len(header) - 1), divider=True)


def _percent(prfs: "Iterable[dict[str, float]]") -> list[str]:
    return [f"{prf[metric] * 100:.1f}" for prf in prfs for metric in "prf"]
