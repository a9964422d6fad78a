"""The BIO tag scheme: `O`, then `B-X` and `I-X` for every entity label X, in label order.

0 is O, 1 + 2k begins and 2 + 2k continues an entity of label k.
"""

from typing import Any

import numpy
from numpy.typing import NDArray


def n_tags(n_labels: int) -> int:
    """Return the number of tags for `n_labels` entity labels: 2·|E| + 1."""
    return 2 * n_labels + 1


def begin(label: int) -> int:
    """Return the tag that begins an entity of label number `label`."""
    return 1 + 2 * label


def inside(label: int) -> int:
    """Return the tag that continues an entity of label number `label`."""
    return 2 + 2 * label


def tag(part: str, label: int) -> int:
    """Return the tag of a token of an entity: its "B" or "U" (its only token), its "I" or "L"."""
    return begin(label) if part in "BU" else inside(label)


def entity(label: int, length: int) -> NDArray[numpy.int64]:
    """Return the tags, shape (length,), of an entity of label number `label`."""
    tags = numpy.full(length, inside(label), dtype="int64")
    tags[0] = begin(label)
    return tags


def last(label: int, length: int) -> int:
    """Return the tag of the last token of an entity of `length` tokens."""
    return begin(label) if length == 1 else inside(label)


def label_numbers(tags: Any) -> Any:
    """Return the number of each tag's entity label, counted from 1, and 0 for O."""
    return (tags + 1) // 2


def with_labels(tags: Any, numbers: Any) -> Any:
    """Return tags that are B or I as `tags` are, with other labels, numbered as above."""
    inside = (tags % 2 == 0).astype(tags.dtype)
    return (2 * numbers - 1 + inside) * (numbers > 0)


def legal_starts(tags: int) -> NDArray[numpy.bool_]:
    """Return which of the `tags` tags may begin a text, shape (K,): all but I-X."""
    index = numpy.arange(tags)
    return (index == 0) | (index % 2 == 1)


def legal_ends(tags: int) -> NDArray[numpy.bool_]:
    """Return which of the `tags` tags may end a text, shape (K,): all."""
    return numpy.ones(tags, dtype=bool)


def legal_transitions(tags: int) -> NDArray[numpy.bool_]:
    """Return which tag may follow which, shape (K, K), [previous, next].

    I-X follows B-X and I-X only; everything else may follow anything.
    """
    legal = numpy.tile(legal_starts(tags), (tags, 1))
    for inside_tag in range(2, tags, 2):
        legal[[inside_tag - 1, inside_tag], inside_tag] = True
    return legal


def tags_to_spans(tags: NDArray[numpy.int64]) -> list[tuple[int, int, int]]:
    """Return the (start, end, label number) spans of a well-formed tag sequence."""
    tags = numpy.asarray(tags)
    starts = numpy.flatnonzero(tags % 2 == 1)
    # An entity ends before the next token that does not continue one.
    breaks = numpy.append(numpy.flatnonzero((tags % 2 == 1) | (tags == 0)), len(tags))
    ends = breaks[numpy.searchsorted(breaks, starts, side="right")]
    labels = tags[starts] // 2
    return list(zip(starts.tolist(), ends.tolist(), labels.tolist(), strict=True))
