import re

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_deeper.schemes import OUTSIDE, SCHEMES, bilou, bio

LABELS = ["Loc", "Org", "Peop"]
NAMES = {
    "bio": ["O", "B-Loc", "I-Loc", "B-Org", "I-Org", "B-Peop", "I-Peop"],
    "bilou": [
        *["O", "B-Loc", "I-Loc", "L-Loc", "U-Loc", "B-Org", "I-Org", "L-Org", "U-Org"],
        *["B-Peop", "I-Peop", "L-Peop", "U-Peop"],
    ],
}
ENTITY = {"bio": "B-{0} (I-{0} )*", "bilou": "(U-{0} |B-{0} (I-{0} )*L-{0} )"}

both = pytest.mark.parametrize("name", SCHEMES)


def well_formed(names: list[str], scheme: str) -> bool:
    """The definition, as a regular expression."""
    entities = "|".join(ENTITY[scheme].format(label) for label in LABELS)
    return re.fullmatch(f"(O |{entities})*", "".join(f"{name} " for name in names)) is not None


@st.composite
def gapped_spans(draw) -> tuple[list[tuple[int, int, int]], int]:
    """Spans in order that do not overlap, and the length of their text."""
    spans, start = [], 0
    for gap, length, label in draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.integers(0, 2)), max_size=6)
    ):
        spans.append((start + gap, start + gap + length, label))
        start += gap + length
    return spans, start + draw(st.integers(0, 2))


@both
def test_numbers_and_names_agree(name: str) -> None:
    scheme, names = SCHEMES[name], NAMES[name]
    assert scheme.n_tags(len(LABELS)) == len(names)
    assert scheme.n_tags(0) == 1
    assert names[OUTSIDE] == "O"
    for number, label in enumerate(LABELS):
        assert names[scheme.inside(number)] == f"I-{label}"
        for part in "BILU":
            written = {"L": "I", "U": "B"}.get(part, part) if scheme is bio else part
            assert names[scheme.tag(part, number)] == f"{written}-{label}"


def test_tags_of_bio() -> None:
    for number, label in enumerate(LABELS):
        assert NAMES["bio"][bio.begin(number)] == f"B-{label}"
        assert NAMES["bio"][bio.last(number, 1)] == f"B-{label}"
        assert bio.last(number, 2) == bio.last(number, 9) == bio.inside(number)


@both
@pytest.mark.parametrize("n_labels", [0, 1, 2, 3])
def test_legality_is_the_definition(name: str, n_labels: int) -> None:
    """A tag may follow another where some well-formed text has both, one after the other."""
    scheme, names = SCHEMES[name], NAMES[name][: SCHEMES[name].n_tags(n_labels)]
    closing = [[], *([f"L-{label}"] for label in LABELS)]
    opening = [[], *([f"B-{label}"] for label in LABELS)]

    def somewhere(tags: list[str]) -> bool:
        return any(well_formed([*a, *tags, *b], name) for a in opening for b in closing)

    transitions = scheme.legal_transitions(len(names))
    assert transitions.dtype == bool
    assert transitions.tolist() == [[somewhere([a, b]) for b in names] for a in names]
    starts = [any(well_formed([tag, *end], name) for end in closing) for tag in names]
    ends = [any(well_formed([*start, tag], name) for start in opening) for tag in names]
    assert scheme.legal_starts(len(names)).tolist() == starts
    assert scheme.legal_ends(len(names)).tolist() == ends


@both
@given(spans_and_length=gapped_spans())
def test_spans_to_tags_to_spans(name: str, spans_and_length) -> None:
    scheme, (spans, length) = SCHEMES[name], spans_and_length
    tags = numpy.full(length, OUTSIDE)
    for start, end, label in spans:
        tags[start:end] = scheme.entity(label, end - start)
        parts = ["U"] if end == start + 1 else ["B", *"I" * (end - start - 2), "L"]
        assert tags[start:end].tolist() == [scheme.tag(part, label) for part in parts]
    assert well_formed([NAMES[name][tag] for tag in tags], name)
    found = scheme.tags_to_spans(tags)
    assert found == spans
    assert {type(number) for span in found for number in span} <= {int}


def test_the_last_tag_of_an_entity() -> None:
    for length in (1, 2, 5):
        assert bio.entity(1, length)[-1] == bio.last(1, length)


def test_an_entity_of_bilou_in_tags() -> None:
    assert bilou.tags_to_spans(numpy.array([4, 1, 2, 3, 0, 12])) == [
        (0, 1, 0),
        (1, 4, 0),
        (5, 6, 2),
    ]
