"""All scores of a pipeline on annotated data: entities, and relations end to end and alone."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example

from ..relations import entity_spans, set_relations
from ..scoring import score_entities, score_relation_keys, score_relations, text_offsets
from .error_analysis import Annotation, annotation, count_errors

Component: TypeAlias = Callable[[Doc], Doc]
#: The name that the component has whose relations are scored on gold entities.
RELATION_SCORER = "relation_scorer"
#: Why a gold entity can't be in `doc.ents` of the pipeline's tokenization.
CUTS_TOKEN, OVERLAPS, NO_TYPE = "cuts_token", "overlaps", "no_type"


def evaluate(nlp: Language, examples: list[Example]) -> dict[str, Any]:
    """Run a pipeline on the examples, and score its entities and relations.

    Unlike `Language.evaluate`, this asks no component for its scorer, so that it also scores the
    entities and relations of components that have none.

    nlp (Language): The pipeline.
    examples (List[Example]): The examples, whose predicted docs are replaced.
    RETURNS (Dict[str, Any]): The scores of `score_entities` and `score_relations`, with
        `rel_errors`: see `count_errors`. If there is a `relation_scorer`, also those of
        `evaluate_on_gold_entities`.
    """
    docs = nlp.pipe(example.predicted for example in examples)
    for example, doc in zip(examples, docs, strict=True):
        example.predicted = doc
    errors = count_errors((annotation(eg.reference), annotation(eg.predicted)) for eg in examples)
    scores = {**score_entities(examples), **score_relations(examples), "rel_errors": errors}
    if RELATION_SCORER in nlp.pipe_names:
        component = nlp.get_pipe(RELATION_SCORER)
        scores |= evaluate_on_gold_entities(component, examples, nlp.batch_size)
    return scores


def evaluate_on_gold_entities(
    component: Component, examples: Iterable[Example], batch_size: int = 128
) -> dict[str, Any]:
    """Score the relations that a component alone finds between the gold entities.

    It runs on copies of the predicted docs, which other components have been through: what does not
    depend on entities, such as `doc.tensor`, is what it was. The relations of a gold entity that is
    lost (see `with_gold_entities`) are missed.

    component (Callable[[Doc], Doc]): Reads `doc.ents` and sets `doc._.relations`.
    examples (Iterable[Example]): The predictions with their references. They stay as they are.
    batch_size (int): How many docs a trainable component takes at once.
    RETURNS (Dict[str, Any]): As `rel_gold_*` what `score_relations` has as `rel_*`, and
        `rel_gold_errors`; `rel_gold_entities`, their number in "total" and "lost", the latter also
        by reason.
    """
    total = 0
    lost: Counter[str] = Counter()
    gold: list[Annotation] = []

    def docs() -> Iterator[Doc]:
        nonlocal total
        for example in examples:
            doc, lost_here = with_gold_entities(example)
            total += len(doc.ents) + len(lost_here)
            lost.update(lost_here.values())
            gold.append(annotation(example.reference))
            yield doc

    pipe = getattr(component, "pipe", None)
    done = map(component, docs()) if pipe is None else pipe(docs(), batch_size=batch_size)
    # The docs are not kept: there is a tensor in each of them.
    pred = [annotation(doc) for doc in done]
    pairs = list(zip(gold, pred, strict=True))
    return {
        **score_relation_keys(((g.relations, p.relations) for g, p in pairs), "rel_gold"),
        "rel_gold_errors": count_errors(pairs),
        "rel_gold_entities": {
            "total": total,
            "lost": sum(lost.values()),
            **{reason: lost[reason] for reason in (CUTS_TOKEN, OVERLAPS, NO_TYPE)},
        },
    }


def with_gold_entities(example: Example) -> tuple[Doc, dict[Span, str]]:
    """Copy the predicted doc, with the gold entities instead of its own, and without relations.

    Gold entities are those in `doc.ents`, and what else only relations name. Some can be lost.

    RETURNS (Tuple[Doc, Dict[Span, str]]): The copy, and the entities of the reference that are not
        in it, with the reason: "cuts_token", if one begins or ends within a predicted token;
        "overlaps", if another has its place already; "no_type".
    """
    doc = example.predicted.copy()
    set_relations(doc, [])
    at, gold_at = text_offsets(doc), text_offsets(example.reference)
    starts, ends = {}, {}
    for token in doc:
        start, end = at(token.idx, token.idx + len(token))
        if start < end:  # it is not white space
            starts[start], ends[end] = token.i, token.i + 1
    taken: set[int] = set()
    spans: list[Span] = []
    lost = {}
    for entity in entity_spans(example.reference):
        start, end = gold_at(entity.start_char, entity.end_char)
        if start == end or start not in starts or end not in ends:
            lost[entity] = CUTS_TOKEN
        elif not entity.label_:
            lost[entity] = NO_TYPE
        elif not taken.isdisjoint(range(starts[start], ends[end])):
            lost[entity] = OVERLAPS
        else:
            spans.append(Span(doc, starts[start], ends[end], label=entity.label_))
            taken.update(range(starts[start], ends[end]))
    doc.set_ents(spans, default="outside")
    return doc, lost
