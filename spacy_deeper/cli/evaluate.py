"""`relations evaluate`: the scores of a pipeline on annotated data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from wasabi import msg

from ..devices import bf16, can_bf16, use_gpu
from ..errors import Errors
from ._util import (
    check_new_folder,
    load_pipeline,
    one_line_errors,
    read_examples,
    save_pipeline,
    say_good,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spacy.language import Language

    from ..evaluation.thresholds import Pairs
    from ..pipeline.relation_scorer import RelationScorer

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
    model: Annotated[str, typer.Argument(..., help="Pipeline name or path")],
    data: Annotated[
        Path, typer.Argument(..., help="Annotated data, a .spacy file or a folder of them")
    ],
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
            help="Use this threshold of relation_scorer, for all labels, instead of its own",
        ),
    ] = None,
    ner_threshold: Annotated[
        float | None,
        typer.Option(
            "--ner-threshold",
            min=0.0,
            max=1.0,
            help="Use this threshold of crf_ner, from 0.5 to 1, instead of its own; 0 for none: "
            "the entities of the best tags",
        ),
    ] = None,
    in_bf16: Annotated[
        bool,
        typer.Option("--bf16", help="Compute products in bfloat16, if the CPU has it: less exact"),
    ] = False,
    with_sweep: Annotated[
        bool, typer.Option("--sweep", help="Score the relations at every threshold too")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot", help="Picture of the sweep to draw, such as sweep.png; needs matplotlib"
        ),
    ] = None,
    tune_to: Annotated[
        Path | None,
        typer.Option(
            "--tune",
            help="Folder to save the pipeline to, with the threshold of each relation label that "
            "is best on the data: use development data",
        ),
    ] = None,
) -> None:
    """Score the entities and relations that a pipeline predicts.

    An entity is right if its span and its type are; a relation is right if its label, its direction
    and both of its entities are. Under "boundaries", types do not matter. Relations are scored end
    to end and, with relation_scorer alone, between the gold entities; their errors are split by
    what went wrong.

    A sweep has one threshold for all labels; tuned thresholds are one for each label.
    """
    import srsly

    from ..evaluation import evaluate
    from ..training.convert import write_atomically

    with one_line_errors(), bf16(can_bf16(in_bf16, gpu_id)):
        use_gpu(gpu_id)
        if plot is not None:
            from ..evaluation.plots import check_plot, plot_sweep

            check_plot(plot)
        if tune_to is not None:
            check_new_folder(tune_to)
        nlp = load_pipeline(model)
        if threshold is not None:
            _set_threshold(nlp, threshold)
        if ner_threshold is not None:
            _check_has(nlp, "crf_ner", "--ner-threshold")
            tagger: Any = nlp.get_pipe("crf_ner")
            tagger.threshold = ner_threshold or None
        for option, value in {"--sweep": with_sweep, "--plot": plot, "--tune": tune_to}.items():
            if value:
                _check_own_scorer(nlp, option)
        examples = read_examples(nlp, data)
        scores = evaluate(nlp, examples)
        _print_scores(scores)
        if with_sweep or plot is not None or tune_to is not None:
            from ..evaluation.thresholds import score_pairs

            scorer: RelationScorer = nlp.get_pipe("relation_scorer")  # type: ignore[assignment]
            pairs = score_pairs(scorer, examples, nlp.batch_size)
            if with_sweep or plot is not None:
                scores["rel_sweep"] = _sweep(pairs, scorer.threshold)
            if tune_to is not None:
                scores["rel_tuned"] = _tune(pairs, scorer)
        if output is not None:
            write_atomically(output, srsly.json_dumps(scores, indent=2).encode() + b"\n")
            say_good(f"Saved the scores to {output}")
        if plot is not None:
            swept = scores["rel_sweep"]
            content = plot_sweep(plot, swept["points"], swept["best"]["threshold"])
            write_atomically(plot, content)
            say_good(f"Drew the sweep to {plot}")
        if tune_to is not None:
            save_pipeline(nlp, tune_to)
            say_good(f"Saved the pipeline with its tuned thresholds to {tune_to}")


def _set_threshold(nlp: "Language", threshold: float) -> None:
    _check_has(nlp, "relation_scorer", "--threshold")
    scorer: Any = nlp.get_pipe("relation_scorer")
    scorer.threshold = threshold
    if getattr(scorer, "label_thresholds", None):
        scorer.label_thresholds = None


def _check_has(nlp: "Language", name: str, option: str) -> None:
    if name not in nlp.pipe_names:
        known = ", ".join(nlp.pipe_names)
        raise ValueError(Errors.D162.format(option=option, name=name, known=known))


def _check_own_scorer(nlp: "Language", option: str) -> None:
    from ..pipeline.relation_scorer import RelationScorer

    _check_has(nlp, "relation_scorer", option)
    scorer = nlp.get_pipe("relation_scorer")
    if not isinstance(scorer, RelationScorer):
        raise ValueError(Errors.D180.format(option=option, found=type(scorer).__name__))


def _sweep(pairs: "Pairs", threshold: float) -> dict[str, Any]:
    """Score the pairs at all thresholds, and print some of them."""
    from ..evaluation.thresholds import best, sweep

    points = sweep(pairs)
    at_best = best(points, threshold)
    # In steps of 0.05, and the best
    shown = [point for i, point in enumerate(points) if i % 5 == 0 or point is at_best]
    rows = [
        (
            f"{point['threshold']:.2f}",
            *_percent([{m: point[f"micro_{m}"] for m in "prf"}]),
            f"{point['macro_f'] * 100:.1f}",
            "best" if point is at_best else "",
        )
        for point in shown
    ]
    header = ("Threshold of all labels", "P", "R", "F", "macro F", "")
    msg.table(rows, header=header, aligns=("r", "r", "r", "r", "r", "l"), divider=True)
    msg.text(
        f"The best threshold is {at_best['threshold']:.2f}, with a micro F of "
        f"{at_best['micro_f'] * 100:.1f}; that of the pipeline is {threshold:g}."
    )
    return {"best": at_best, "points": points}


def _tune(pairs: "Pairs", scorer: "RelationScorer") -> dict[str, Any]:
    """Set the thresholds of the labels to the best ones, and print them and their scores."""
    from ..evaluation.thresholds import tune
    from ..scoring import averages

    # A label that falls back to the common threshold does so whatever it had before.
    scorer.label_thresholds = tune(pairs, scorer.threshold)
    counts = pairs.counts_at(scorer.threshold, scorer.label_thresholds)
    scores = averages("rel", counts)
    rows = []
    for label in scorer.labels:
        prf = scores["rel_per_type"].get(label, dict.fromkeys("prf", 0.0))
        own = scorer.label_thresholds.get(label)
        text = f"{scorer.threshold:g} (common)" if own is None else f"{own:g}"
        rows.append((label, text, *_percent([prf])))
    for mean in ("micro", "macro"):
        rows.append((mean, "", *_percent([{m: scores[f"rel_{mean}_{m}"] for m in "prf"}])))
    header = ("Tuned on this data", "Threshold", "P", "R", "F")
    msg.table(rows, header=header, aligns=("l", "r", "r", "r", "r"), divider=True)
    return {
        "threshold": scorer.threshold,
        "label_thresholds": scorer.label_thresholds,
        **scores,
    }


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
