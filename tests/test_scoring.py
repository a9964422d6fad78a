from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support
from spacy.scorer import Scorer, get_ner_prf
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import registry
from spacy.vocab import Vocab

from spacy_deeper import set_relations
from spacy_deeper.scoring import score_entities, score_relations

VOCAB = Vocab()
NONE = "no such item"
LABELS = ["Kill", "Live_In", "Work_For"]
TYPES = ["Loc", "Org", "Peop"]
N_WORDS = 5

PRF = ("p", "r", "f")
ENT_KEYS = {
    *(f"ents_{m}" for m in PRF),
    *(f"ents_{kind}_{m}" for kind in ("micro", "macro") for m in PRF),
    *(f"ents_boundaries_{kind}_{m}" for kind in ("micro", "macro") for m in PRF),
    "ents_per_type",
    "ents_boundaries_per_type",
}
REL_KEYS = {
    f"{name}_{key}"
    for name in ("rel", "rel_boundaries")
    for key in ("per_type", *(f"{kind}_{m}" for kind in ("micro", "macro") for m in PRF))
}

#: A relation by the (start, end, type) of its two spans, and its label.
Rel = tuple[tuple[int, int, str], tuple[int, int, str], str]

A, B, C = (0, 1, "Peop"), (1, 3, "Loc"), (4, 5, "Org")


def make_doc(relations: list[Rel] | None, words: list[str] | None = None) -> Doc:
    doc = Doc(VOCAB, words=words or [f"w{i}" for i in range(N_WORDS)])
    if relations is not None:
        doc._.relations = [(Span(doc, *h), Span(doc, *t), label) for h, t, label in relations]
    return doc


def score(*docs: tuple[list[Rel] | None, list[Rel] | None]) -> dict[str, Any]:
    """Score (gold, predicted) relations."""
    return score_relations(Example(make_doc(pred), make_doc(gold)) for gold, pred in docs)


def prf(scores: dict[str, Any], name: str) -> tuple[float, float, float]:
    return scores[f"{name}_p"], scores[f"{name}_r"], scores[f"{name}_f"]


def by_sklearn(gold: list[set], pred: list[set]) -> dict[str, Any]:
    """Score items (one set per doc; their last member is the label) with scikit-learn: every item
    of the union is a sample, and its class is the label on the sides that have the item."""
    union = [(g, p, item) for g, p in zip(gold, pred, strict=True) for item in g | p]
    y_true = [item[-1] if item in g else NONE for g, _, item in union]
    y_pred = [item[-1] if item in p else NONE for _, p, item in union]
    labels = sorted({item[-1] for *_, item in union})
    if not labels:
        return {"micro": (0.0, 0.0, 0.0), "macro": (0.0, 0.0, 0.0), "per_type": {}}

    def reference(average: str | None) -> Any:
        return precision_recall_fscore_support(
            y_true, y_pred, labels=labels, average=average, zero_division=0.0
        )[:3]

    per_type = zip(*(values.tolist() for values in reference(None)), strict=True)
    return {
        "micro": reference("micro"),
        "macro": reference("macro"),
        "per_type": {
            label: dict(zip(PRF, values, strict=True))
            for label, values in zip(labels, per_type, strict=True)
        },
    }


def assert_same(scores: dict[str, Any], name: str, expected: dict[str, Any]) -> None:
    assert prf(scores, f"{name}_micro") == pytest.approx(expected["micro"])
    assert prf(scores, f"{name}_macro") == pytest.approx(expected["macro"])
    assert scores[f"{name}_per_type"].keys() == expected["per_type"].keys()
    for label, values in expected["per_type"].items():
        assert scores[f"{name}_per_type"][label] == pytest.approx(values)


# Relations against scikit-learn

pairs = st.permutations(range(N_WORDS)).map(lambda order: (order[0], order[1]))
side = st.tuples(
    st.lists(st.sampled_from(TYPES), min_size=N_WORDS, max_size=N_WORDS),
    st.sets(st.tuples(pairs, st.sampled_from(LABELS)), max_size=6),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(side, side, st.sets(st.integers(0, 5))), max_size=5))
def test_relations_as_sklearn(docs: list) -> None:
    strict: tuple[list[set], list[set]] = ([], [])
    boundaries: tuple[list[set], list[set]] = ([], [])
    examples = []
    for (gold_types, gold), (pred_types, pred), shared in docs:
        # Independent sides would hardly ever agree.
        pred = pred | {item for i, item in enumerate(sorted(gold)) if i in shared}
        made = []
        for i, (types, items) in enumerate(((gold_types, gold), (pred_types, pred))):
            boundaries[i].append(items)
            strict[i].append({(h, t, types[h], types[t], label) for (h, t), label in items})
            made.append(
                make_doc([((h, h + 1, types[h]), (t, t + 1, types[t]), la) for (h, t), la in items])
            )
        examples.append(Example(made[1], made[0]))
    scores = score_relations(examples)
    assert scores.keys() == REL_KEYS
    assert_same(scores, "rel", by_sklearn(*strict))
    assert_same(scores, "rel_boundaries", by_sklearn(*boundaries))


# Relations by hand


def test_perfect() -> None:
    items = [(A, B, "Live_In"), (A, C, "Work_For")]
    scores = score((items, items), ([], []))
    for name in ("rel_micro", "rel_macro", "rel_boundaries_micro", "rel_boundaries_macro"):
        assert prf(scores, name) == (1.0, 1.0, 1.0)


def test_one_right_of_two_gold_and_three_predicted() -> None:
    gold: list[Rel] = [(A, B, "Live_In"), (A, C, "Work_For")]
    pred: list[Rel] = [(A, B, "Live_In"), (C, B, "Live_In"), (B, C, "Kill")]
    scores = score((gold, pred))
    assert prf(scores, "rel_micro") == pytest.approx((1 / 3, 1 / 2, 2 / 5))
    assert prf(scores, "rel_macro") == pytest.approx((1 / 6, 1 / 3, 2 / 9))
    assert scores["rel_per_type"] == {
        "Kill": {"p": 0.0, "r": 0.0, "f": 0.0},
        "Live_In": pytest.approx({"p": 1 / 2, "r": 1.0, "f": 2 / 3}),
        "Work_For": {"p": 0.0, "r": 0.0, "f": 0.0},
    }


@pytest.mark.parametrize(
    "wrong",
    [
        (B, A, "Live_In"),
        (A, B, "Kill"),
        (A, (1, 2, "Loc"), "Live_In"),
        ((0, 2, "Peop"), B, "Live_In"),
    ],
    ids=["direction", "label", "tail", "head"],
)
def test_wrong_is_a_miss_and_a_false_positive(wrong: Rel) -> None:
    scores = score(([(A, B, "Live_In"), (A, C, "Live_In")], [wrong, (A, C, "Live_In")]))
    for name in ("rel_micro", "rel_boundaries_micro"):
        assert prf(scores, name) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    "wrong", [((0, 1, "Org"), B, "Live_In"), (A, (1, 3, ""), "Live_In")], ids=["head", "tail"]
)
def test_wrong_entity_type_is_wrong_only_if_strict(wrong: Rel) -> None:
    scores = score(([(A, B, "Live_In")], [wrong]))
    assert prf(scores, "rel_micro") == prf(scores, "rel_macro") == (0.0, 0.0, 0.0)
    assert prf(scores, "rel_boundaries_micro") == prf(scores, "rel_boundaries_macro") == (1, 1, 1)
    assert scores["rel_per_type"] == {"Live_In": {"p": 0.0, "r": 0.0, "f": 0.0}}
    assert scores["rel_boundaries_per_type"] == {"Live_In": {"p": 1.0, "r": 1.0, "f": 1.0}}


@pytest.mark.parametrize("nothing", [None, []])
def test_gold_never_proposed_is_a_miss(nothing: list[Rel] | None) -> None:
    scores = score(([(A, B, "Kill")], [(A, B, "Kill")]), ([(A, B, "Kill")], nothing))
    assert prf(scores, "rel_micro") == pytest.approx((1.0, 0.5, 2 / 3))


@pytest.mark.parametrize("nothing", [None, []])
def test_predicted_without_gold_is_a_false_positive(nothing: list[Rel] | None) -> None:
    scores = score(([(A, B, "Kill")], [(A, B, "Kill")]), (nothing, [(A, B, "Kill")]))
    assert prf(scores, "rel_micro") == pytest.approx((0.5, 1.0, 2 / 3))


def test_relations_of_one_doc_are_not_those_of_another() -> None:
    scores = score(([(A, B, "Kill")], []), ([], [(A, B, "Kill")]))
    assert prf(scores, "rel_micro") == (0.0, 0.0, 0.0)


def test_confidence_does_not_matter() -> None:
    gold, pred = make_doc([(A, B, "Kill")]), make_doc([(A, B, "Kill")])
    pred._.relations = [relation._replace(score=0.1) for relation in pred._.relations]
    assert score_relations([Example(pred, gold)])["rel_micro_f"] == 1.0


def test_other_tokens_and_white_space() -> None:
    gold = Doc(VOCAB, words=["Edgar", "Poe", "left", "New", "York"])
    pred = Doc(
        VOCAB,
        words=["\n", "Edgar", "\t", "P", "oe", "left", "New York"],
        spaces=[False, False, True, False, True, True, True],
    )
    gold._.relations = [(Span(gold, 0, 2, "Peop"), Span(gold, 3, 5, "Loc"), "Live_In")]
    pred._.relations = [(Span(pred, 1, 5, "Peop"), Span(pred, 6, 7, "Loc"), "Live_In")]
    assert score_relations([Example(pred, gold)])["rel_micro_f"] == 1.0
    # White space at the edge of a span is none of the relation's business.
    pred._.relations = [(Span(pred, 0, 5, "Peop"), Span(pred, 6, 7, "Loc"), "Live_In")]
    assert score_relations([Example(pred, gold)])["rel_micro_f"] == 1.0


def test_span_that_does_not_align_is_wrong() -> None:
    gold = Doc(VOCAB, words=["Poe", "left", "New", "York"])
    pred = Doc(VOCAB, words=["Poe", "left", "New York"])
    right: Rel = (A, C, "Work_For")
    for doc in (gold, pred):
        poe, new_or_new_york = Span(doc, 0, 1, "Peop"), Span(doc, 2, 3, "Loc")
        doc._.relations = [(poe, new_or_new_york, "Live_In")]
    also_right = Example(make_doc([right]), make_doc([right]))
    for example in (Example(pred, gold), Example(gold, pred)):
        scores = score_relations([example, also_right])
        assert prf(scores, "rel_micro") == prf(scores, "rel_boundaries_micro") == (0.5, 0.5, 0.5)


# Entities


def make_ents(ents: list[tuple[int, int, str]] | None) -> Doc:
    doc = Doc(VOCAB, words=[f"w{i}" for i in range(N_WORDS)])
    if ents is not None:
        doc.set_ents([Span(doc, *ent) for ent in ents], default="outside")
    return doc


def tile(cuts: list[tuple[int, str]]) -> list[tuple[int, int, str]]:
    """Turn (length, label) into adjacent spans that fit into a doc; no label is no entity."""
    ents, start = [], 0
    for length, label in cuts:
        if start + length <= N_WORDS and label:
            ents.append((start, start + length, label))
        start += length
    return ents


ents_of_a_doc = st.lists(st.tuples(st.integers(1, 2), st.sampled_from(["", *TYPES])), max_size=5)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(ents_of_a_doc, ents_of_a_doc, st.booleans()), max_size=5))
def test_entities_as_sklearn_and_as_spacy(docs: list) -> None:
    golds, preds = [], []
    for gold, pred, same in docs:
        golds.append(tile(gold))
        preds.append(tile(gold[:1] + pred if same else pred))
    examples = [Example(make_ents(p), make_ents(g)) for g, p in zip(golds, preds, strict=True)]
    scores = score_entities(examples)
    assert scores.keys() == ENT_KEYS
    expected = by_sklearn(list(map(set, golds)), list(map(set, preds)))
    assert_same(scores, "ents", expected)
    assert prf(scores, "ents") == prf(scores, "ents_micro")
    spans = [[{(s, e, "any") for s, e, _ in ents} for ents in docs] for docs in (golds, preds)]
    assert prf(scores, "ents_boundaries_micro") == pytest.approx(by_sklearn(*spans)["micro"])
    for key, value in get_ner_prf(examples).items():
        assert scores[key] == value or (value is None and not scores[key])
    check_boundaries_per_type(scores, golds, preds)


def check_boundaries_per_type(scores: dict[str, Any], golds: list, preds: list) -> None:
    """Of a type: the precision of what was predicted with it, the recall of what is gold with it,
    each as scikit-learn has it for all spans with the spans of this type alone on that side."""

    def spans(docs: list, only: str | None = None) -> list[set]:
        return [{(s, e, "any") for s, e, label in ents if only in (None, label)} for ents in docs]

    types = sorted({label for ents in (*golds, *preds) for *_, label in ents})
    assert list(scores["ents_boundaries_per_type"]) == types
    for label in types:
        p = by_sklearn(spans(golds), spans(preds, label))["micro"][0]
        r = by_sklearn(spans(golds, label), spans(preds))["micro"][1]
        f = 2 * p * r / (p + r) if p + r else 0.0
        expected = {"p": p, "r": r, "f": f}
        assert scores["ents_boundaries_per_type"][label] == pytest.approx(expected)
    for m in PRF:
        values = [prf[m] for prf in scores["ents_boundaries_per_type"].values()]
        mean = sum(values) / max(len(values), 1)
        assert scores[f"ents_boundaries_macro_{m}"] == pytest.approx(mean)


def test_missing_annotation_as_spacy() -> None:
    gold = make_ents([(0, 1, "Peop")])
    gold.set_ents([], missing=[gold[2:4]], default="unmodified")
    pred = make_ents([(0, 1, "Peop"), (1, 3, "Loc"), (3, 4, "Loc"), (4, 5, "Org")])
    examples = [Example(pred, gold), Example(pred, make_ents(None))]
    scores = score_entities(examples)
    assert prf(scores, "ents") == pytest.approx((1 / 2, 1.0, 2 / 3))
    assert prf(scores, "ents_boundaries_micro") == prf(scores, "ents")
    assert prf(get_ner_prf(examples), "ents") == prf(scores, "ents")


def test_entities_missing_from_the_prediction() -> None:
    scores = score_entities([Example(make_ents(None), make_ents([(0, 2, "Peop"), (3, 4, "Loc")]))])
    assert prf(scores, "ents_micro") == prf(scores, "ents_macro") == (0.0, 0.0, 0.0)
    assert scores["ents_per_type"].keys() == {"Loc", "Peop"}


def test_wrong_type_and_wrong_boundary() -> None:
    gold, pred = [(0, 2, "Peop"), (3, 5, "Loc")], [(0, 2, "Org"), (3, 4, "Loc")]
    scores = score_entities([Example(make_ents(pred), make_ents(gold))])
    assert prf(scores, "ents_micro") == (0.0, 0.0, 0.0)
    assert prf(scores, "ents_boundaries_micro") == (0.5, 0.5, 0.5)
    # The Org is where an entity is, and the Peop was found, if as something else.
    assert scores["ents_boundaries_per_type"] == {
        "Loc": {"p": 0.0, "r": 0.0, "f": 0.0},
        "Org": {"p": 1.0, "r": 0.0, "f": 0.0},
        "Peop": {"p": 0.0, "r": 1.0, "f": 0.0},
    }


def test_entities_of_other_tokens() -> None:
    gold = Doc(VOCAB, words=["Poe", "left", "New", "York"], ents=["B-Peop", "O", "B-Loc", "I-Loc"])
    pred = Doc(VOCAB, words=["P", "oe", " ", "left", "New York"], spaces=[False, *[True] * 4])
    pred.ents = [Span(pred, 0, 2, "Peop"), Span(pred, 4, 5, "Loc")]
    assert score_entities([Example(pred, gold)])["ents_f"] == 1.0
    pred.ents = [Span(pred, 0, 1, "Peop"), Span(pred, 4, 5, "Loc")]
    assert score_entities([Example(pred, gold)])["ents_f"] == 0.5


# Both


@pytest.mark.parametrize("docs", [[], [(None, None)], [([], [])], [([], [])] * 3])
def test_nothing_to_score_is_zero(docs: list) -> None:
    rel = score(*docs)
    ents = score_entities(Example(make_ents(pred), make_ents(gold)) for gold, pred in docs)
    assert rel.keys() == REL_KEYS
    assert ents.keys() == ENT_KEYS
    for key, value in {**rel, **ents}.items():
        assert value == ({} if key.endswith("per_type") else 0.0)
        assert type(value) in (dict, float)


def test_empty_docs() -> None:
    example = Example(Doc(VOCAB), Doc(VOCAB))
    assert score_relations([example])["rel_micro_f"] == 0.0
    assert score_entities([example])["ents_f"] == 0.0


def test_values_are_floats() -> None:
    scores = score(([(A, B, "Kill"), (A, C, "Kill")], [(A, B, "Kill"), (B, C, "Live_In")]))
    scores |= score_entities([Example(make_ents([(0, 1, "Loc")]), make_ents([(0, 1, "Loc")]))])
    for key, value in scores.items():
        values = [v for prf in value.values() for v in prf.values()] if "per" in key else [value]
        assert {type(v) for v in values} == {float}, key


@pytest.mark.parametrize(
    ("name", "scorer"),
    [
        ("spacy_deeper.crf_ner_scorer.v1", score_entities),
        ("spacy_deeper.relation_scorer.v1", score_relations),
    ],
)
def test_registered(name: str, scorer: object) -> None:
    made = registry.scorers.get(name)()
    assert made is scorer
    assert made([], threshold=0.5, anything="else")  # spaCy passes its scorer_kwargs


def test_names_are_spacys() -> None:
    example = Example(make_ents([(0, 1, "Loc")]), make_ents([(0, 1, "Loc")]))
    theirs = Scorer.score_spans([example], "ents")
    ours = score_entities([example])
    assert theirs == {key: ours[key] for key in theirs}


def test_references_without_any_relations_set_are_warned_of() -> None:
    gold = make_ents([(0, 1, "Peop"), (4, 5, "Loc")])
    with pytest.warns(UserWarning, match=r"\[DW001\] None of the 1 reference docs"):
        score_relations([Example(gold.copy(), gold)])
    set_relations(gold, [])
    score_relations([Example(gold.copy(), gold)])


def test_entities_that_overlap_are_missed():
    """They are in doc.spans, as doc.ents can't hold them."""
    gold, pred = (Doc(VOCAB, words=["a", "b", "c"]) for _ in range(2))
    for doc in (gold, pred):
        doc.ents = [Span(doc, 0, 2, label="Drug")]
    gold.spans["overlapping"] = [Span(gold, 1, 2, label="Effect")]
    scores = score_entities([Example(pred, gold)])
    assert (scores["ents_micro_p"], scores["ents_micro_r"]) == (1.0, 0.5)
    assert scores["ents_per_type"]["Effect"]["r"] == 0.0
