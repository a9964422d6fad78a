"""`relations evaluate`: the scores of a pipeline on annotated data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from wasabi import msg

from ..errors import Errors
from ._util import load_pipeline, one_line, one_line_errors, read_examples, say_good

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.training import Example


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
    and both of its entities are.
    """
    import srsly

    from ..training.convert import write_atomically

    with one_line_errors():
        _use_gpu(gpu_id)
        nlp = load_pipeline(model)
        if threshold is not None:
            _set_threshold(nlp, threshold)
        scores = evaluate(nlp, read_examples(nlp, data))
        _print_scores("Entities", scores, "ents")
        _print_scores("Relations", scores, "rel")
        if output is not None:
            write_atomically(output, srsly.json_dumps(scores, indent=2).encode() + b"\n")
            say_good(f"Saved the scores to {output}")


def evaluate(nlp: "Language", examples: "list[Example]") -> dict[str, Any]:
    """Run a pipeline on the examples, and score its entities and relations.

    Unlike `Language.evaluate`, this asks no component for its scorer, so that it also scores the
    entities and relations of components that have none.

    nlp (Language): The pipeline.
    examples (list[Example]): The examples, whose predicted docs are replaced.
    RETURNS (dict[str, Any]): The scores of `score_entities` and `score_relations`.
    """
    from ..scoring import score_entities, score_relations

    docs = nlp.pipe(example.predicted for example in examples)
    for example, doc in zip(examples, docs, strict=True):
        example.predicted = doc
    return {**score_entities(examples), **score_relations(examples)}


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


def _print_scores(title: str, scores: dict[str, Any], prefix: str) -> None:
    averages = {
        mean: {metric: scores[f"{prefix}_{mean}_{metric}"] for metric in "prf"}
        for mean in ("micro", "macro")
    }
    rows = [
        (name, *(f"{prf[metric] * 100:.1f}" for metric in "prf"))
        for name, prf in [*scores[f"{prefix}_per_type"].items(), *averages.items()]
    ]
    msg.table(rows, header=(title, "P", "R", "F"), aligns=("l", "r", "r", "r"), divider=True)
