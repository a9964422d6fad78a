from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_deeper.evaluation.error_analysis import (
    CATEGORIES,
    Annotation,
    annotation,
    count_errors,
    relation_errors,
)
from spacy_deeper.scoring import RelationKey, score_relations

VOCAB = Vocab()
N_WORDS = 6
TYPES = ["Loc", "Peop"]
LABELS = ["Kill", "Live_In"]

A, B, C = (0, 1, "Peop"), (1, 3, "Loc"), (4, 5, "Org")
GOLD = [A, B, C]
A_B = (A, B, "Live_In")


def make_doc(ents, relations):
    doc = Doc(VOCAB, words=[f"w{i}" for i in range(N_WORDS)])
    doc.set_ents([Span(doc, *ent) for ent in ents], default="outside")
    doc._.relations = [(Span(doc, *h), Span(doc, *t), label) for h, t, label in relations]
    return doc


def errors(gold_ents, gold, pred_ents, pred):
    """The categories of the errors, in any order, by side."""
    found = {"fn": [], "fp": []}
    sides = annotation(make_doc(gold_ents, gold)), annotation(make_doc(pred_ents, pred))
    for error in relation_errors(*sides):
        found[error.side].append(error.category)
    return sorted(found["fn"]), sorted(found["fp"])


WIDE_A, ORG_A, OTHER = (0, 2, "Peop"), (0, 1, "Org"), (5, 6, "Peop")


@pytest.mark.parametrize(
    ("pred_ents", "pred", "missed", "invented"),
    [
        (GOLD, [A_B], [], []),
        # Neither the entity nor the relation
        ([B, C], [], ["entity_missed"], []),
        # Wrong boundaries
        ([WIDE_A, C], [(WIDE_A, C, "Live_In")], ["entity_missed"], ["entity_missed"]),
        # An entity that is not in the gold annotation
        ([*GOLD, OTHER], [A_B, (OTHER, B, "Live_In")], [], ["entity_missed"]),
        # Another type, with the relation and without
        ([ORG_A, B], [(ORG_A, B, "Live_In")], ["entity_mistyped"], ["entity_mistyped"]),
        ([ORG_A, B], [], ["entity_mistyped"], []),
        # One entity of the wrong type and one missing: the first counts
        ([ORG_A], [], ["entity_missed"], []),
        # A wrong type, and a wrong direction beside it
        ([ORG_A, B], [(B, ORG_A, "Live_In")], ["entity_mistyped"], ["entity_mistyped"]),
        (GOLD, [(B, A, "Live_In")], ["wrong_direction"], ["wrong_direction"]),
        (GOLD, [(A, B, "Kill")], ["wrong_label"], ["wrong_label"]),
        # In the other direction and with another label
        (GOLD, [(B, A, "Kill")], ["wrong_label"], ["wrong_label"]),
        (
            GOLD,
            [(B, A, "Live_In"), (A, B, "Kill")],
            ["wrong_direction"],
            ["wrong_direction", "wrong_label"],
        ),
        (GOLD, [], ["pair_missed"], []),
        (GOLD, [A_B, (A, C, "Live_In")], [], ["pair_invented"]),
        # What is right explains nothing
        (GOLD, [A_B, (B, A, "Live_In"), (A, B, "Kill")], [], ["pair_invented", "pair_invented"]),
        (GOLD, [(A, C, "Live_In")], ["pair_missed"], ["pair_invented"]),
    ],
)
def test_by_hand(pred_ents, pred, missed, invented):
    assert errors(GOLD, [A_B], pred_ents, pred) == (missed, invented)
    # The same seen from the other side
    swap = {"pair_missed": "pair_invented", "pair_invented": "pair_missed"}
    swapped = [sorted(swap.get(c, c) for c in side) for side in (invented, missed)]
    assert list(errors(pred_ents, pred, GOLD, [A_B])) == swapped


def test_one_of_two_labels_found():
    assert errors(GOLD, [A_B, (A, B, "Kill")], GOLD, [A_B]) == (["pair_missed"], [])


def test_one_of_two_directions_found():
    assert errors(GOLD, [A_B, (B, A, "Live_In")], GOLD, [A_B]) == (["pair_missed"], [])


def test_no_entities_in_ents():
    """The arguments of relations are entities, whatever doc.ents has."""
    assert errors([], [A_B], [], [(B, A, "Live_In")]) == (["wrong_direction"], ["wrong_direction"])


def test_two_types_of_a_span():
    """A relation's entity type need not be that in doc.ents."""
    pred = [(ORG_A, B, "Live_In")]
    assert errors(GOLD, [A_B], GOLD, pred) == (["entity_mistyped"], ["entity_mistyped"])


def test_counts():
    docs = [([A_B], [(B, A, "Live_In")]), ([A_B], []), ([], []), ([A_B], [A_B])]
    sides = [
        (annotation(make_doc(GOLD, gold)), annotation(make_doc(GOLD, pred))) for gold, pred in docs
    ]
    nothing = dict.fromkeys(CATEGORIES, 0)
    assert count_errors(sides) == {
        "fn": nothing | {"wrong_direction": 1, "pair_missed": 1, "total": 2},
        "fp": nothing | {"wrong_direction": 1, "total": 1},
    }
    assert count_errors([]) == {side: nothing | {"total": 0} for side in ("fn", "fp")}


spans = st.integers(0, 3).flatmap(
    lambda i: st.tuples(st.just(i), st.integers(i + 1, 4), st.sampled_from(TYPES))
)


@st.composite
def sides(draw):
    """An annotation as docs have it: entities of one type each that do not overlap."""
    ents, relations = [], set()
    for start, end, label in draw(st.lists(spans, max_size=4)):
        if all(end <= s or e <= start for s, e, _ in ents):
            ents.append((start, end, label))
    if len(ents) > 1:
        pairs = [(a, b) for a in ents for b in ents if a != b]
        chosen = draw(st.sets(st.tuples(st.sampled_from(pairs), st.sampled_from(LABELS))))
        relations = {(head, tail, label) for (head, tail), label in chosen}
    return ents, sorted(relations)


@settings(max_examples=300)
@given(st.lists(st.tuples(sides(), sides()), max_size=3))
def test_every_error_has_one_category(docs):
    pairs = [(make_doc(*gold), make_doc(*pred)) for gold, pred in docs]
    keys = [(annotation(gold), annotation(pred)) for gold, pred in pairs]
    fn = fp = 0
    for gold, pred in keys:
        found = list(relation_errors(gold, pred))
        by_side = {
            side: Counter(e.relation for e in found if e.side == side) for side in ("fn", "fp")
        }
        # Each exactly once, and nothing else
        assert by_side["fn"] == Counter(gold.relations - pred.relations)
        assert by_side["fp"] == Counter(pred.relations - gold.relations)
        fn += len(by_side["fn"])
        fp += len(by_side["fp"])
        check_meaning(gold, pred, found)
    counts = count_errors(keys)
    for side, total in (("fn", fn), ("fp", fp)):
        assert sum(counts[side][category] for category in CATEGORIES) == total
        assert counts[side]["total"] == total
    # The same totals as those of the scores
    scores = score_relations([Example(pred, gold) for gold, pred in pairs])
    n_gold = sum(len(gold.relations) for gold, _ in keys)
    n_pred = sum(len(pred.relations) for _, pred in keys)
    if n_gold:
        assert scores["rel_micro_r"] == pytest.approx((n_gold - fn) / n_gold)
    if n_pred:
        assert scores["rel_micro_p"] == pytest.approx((n_pred - fp) / n_pred)
    # A relation from tail to head is an error on both sides.
    assert counts["fn"]["wrong_direction"] == counts["fp"]["wrong_direction"]
    assert counts["fn"]["pair_invented"] == counts["fp"]["pair_missed"] == 0


def check_meaning(gold, pred, found):
    """What each category says is so, told without the priorities of the code."""
    wrong = {"fn": pred.relations - gold.relations, "fp": gold.relations - pred.relations}
    others = {"fn": pred, "fp": gold}
    for side, category, (label, head, tail, head_type, tail_type) in found:
        types = {place: label for label, place in others[side].entities}
        is_place = head in types and tail in types
        assert (category == "entity_missed") == (not is_place)
        if is_place:
            same_types = (types[head], types[tail]) == (head_type, tail_type)
            assert (category == "entity_mistyped") == (not same_types)
        if is_place and same_types:
            back = RelationKey(label, tail, head, tail_type, head_type)
            between = {e.label for e in wrong[side] if {e.head, e.tail} == {head, tail}}
            assert (category == "wrong_direction") == (back in wrong[side])
            assert (category.startswith("pair_")) == (not between)


def test_annotation_of_an_empty_doc():
    assert annotation(Doc(VOCAB)) == Annotation(set(), set())
