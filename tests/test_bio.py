import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_deeper import bio

LABELS = ["Loc", "Org", "Peop"]
NAMES = ["O", "B-Loc", "I-Loc", "B-Org", "I-Org", "B-Peop", "I-Peop"]


def may_follow(name: str, previous: str) -> bool:
    """The definition: I-X continues an entity X."""
    return not name.startswith("I-") or previous[1:] == name[1:]


def well_formed(names: list[str]) -> bool:
    return all(
        may_follow(name, previous) for previous, name in zip(["O", *names], names, strict=False)
    )


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


def test_numbers_and_names_agree() -> None:
    assert bio.tag_names(LABELS) == NAMES
    assert bio.n_tags(len(LABELS)) == len(NAMES)
    assert bio.tag_names([]) == ["O"]
    assert NAMES[bio.OUTSIDE] == "O"
    for number, label in enumerate(LABELS):
        assert NAMES[bio.begin(number)] == f"B-{label}"
        assert NAMES[bio.inside(number)] == f"I-{label}"
        assert NAMES[bio.last(number, 1)] == f"B-{label}"
        assert NAMES[bio.last(number, 2)] == NAMES[bio.last(number, 9)] == f"I-{label}"


def test_a_new_label_leaves_the_old_tags_their_numbers() -> None:
    assert bio.tag_names([*LABELS, "Other"])[: len(NAMES)] == NAMES


@pytest.mark.parametrize("n_labels", [0, 1, 2, 3])
def test_legality_is_the_definition(n_labels: int) -> None:
    names = NAMES[: 2 * n_labels + 1]
    transitions = bio.legal_transitions(len(names))
    assert transitions.dtype == bool
    assert transitions.tolist() == [
        [may_follow(name, previous) for name in names] for previous in names
    ]
    assert bio.legal_starts(len(names)).tolist() == [may_follow(name, "O") for name in names]


@given(gapped_spans())
def test_spans_to_tags_to_spans(spans_and_length) -> None:
    spans, length = spans_and_length
    tags = bio.spans_to_tags(spans, length)
    assert tags.shape == (length,)
    assert well_formed([NAMES[tag] for tag in tags])
    assert bio.tags_to_spans(tags) == spans
    for start, end, label in spans:
        assert tags[end - 1] == bio.last(label, end - start)


@given(st.lists(st.sampled_from(NAMES), max_size=12).filter(well_formed))
def test_tags_to_spans_to_tags(names: list[str]) -> None:
    tags = numpy.array([NAMES.index(name) for name in names], dtype="int64")
    spans = bio.tags_to_spans(tags)
    assert len(spans) == sum(name.startswith("B-") for name in names)
    assert bio.spans_to_tags(spans, len(tags)).tolist() == tags.tolist()


def test_spans_are_plain_numbers() -> None:
    spans = bio.tags_to_spans(numpy.array([1, 2, 1, 0, 5]))
    assert spans == [(0, 2, 0), (2, 3, 0), (4, 5, 2)]
    assert {type(number) for span in spans for number in span} == {int}
