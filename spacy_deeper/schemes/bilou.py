"""The BILOU tag scheme, which tells an entity's last token, and its only one, from the others
(Ratinov and Roth 2009): `O`, then `B-X`, `I-X`, `L-X` and `U-X` for every entity label X.

0 is O; 1 + 4k to 4 + 4k are B, I, L and U of label k.
"""

import numpy
from numpy.typing import NDArray

PARTS = "BILU"
FIRST, INNER, LAST, ONLY = range(4)


def n_tags(n_labels: int) -> int:
    """Return the number of tags for `n_labels` entity labels: 4·|E| + 1."""
    return 4 * n_labels + 1


def tag(part: str, label: int) -> int:
    """Return the tag of a token of an entity: of its "B", "I", "L" or "U" (its only token)."""
    return 1 + 4 * label + PARTS.index(part)


def inside(label: int) -> int:
    """Return the tag that continues an entity of label number `label` and does not end it."""
    return tag("I", label)


def entity(label: int, length: int) -> NDArray[numpy.int64]:
    """Return the tags, shape (length,), of an entity of label number `label`."""
    if length == 1:
        return numpy.array([tag("U", label)], dtype="int64")
    tags = numpy.full(length, tag("I", label), dtype="int64")
    tags[0], tags[-1] = tag("B", label), tag("L", label)
    return tags


def legal_starts(tags: int) -> NDArray[numpy.bool_]:
    """Return which of the `tags` tags may begin a text, shape (K,): O, B and U."""
    part, _ = _parts(tags)
    return numpy.isin(part, (-1, FIRST, ONLY))


def legal_ends(tags: int) -> NDArray[numpy.bool_]:
    """Return which of the `tags` tags may end a text, shape (K,): O, L and U."""
    part, _ = _parts(tags)
    return numpy.isin(part, (-1, LAST, ONLY))


def legal_transitions(tags: int) -> NDArray[numpy.bool_]:
    """Return which tag may follow which, shape (K, K), [previous, next].

    I-X and L-X follow B-X and I-X, and nothing else does.
    """
    part, label = _parts(tags)
    open_, goes_on = numpy.isin(part, (FIRST, INNER)), numpy.isin(part, (INNER, LAST))
    same = label[:, None] == label
    return numpy.where(open_[:, None], goes_on & same, ~goes_on)


def _parts(tags: int) -> tuple[NDArray[numpy.int64], NDArray[numpy.int64]]:
    """Return each tag's part of an entity, and its label; -1 for O."""
    index = numpy.arange(tags) - 1
    return numpy.where(index < 0, -1, index % 4), numpy.where(index < 0, -1, index // 4)


def tags_to_spans(tags: NDArray[numpy.int64]) -> list[tuple[int, int, int]]:
    """Return the (start, end, label number) spans of a well-formed tag sequence."""
    tags = numpy.asarray(tags)
    part = numpy.where(tags == 0, -1, (tags - 1) % 4)
    starts = numpy.flatnonzero((part == FIRST) | (part == ONLY))
    ends = numpy.flatnonzero((part == LAST) | (part == ONLY)) + 1
    labels = (tags[starts] - 1) // 4
    return list(zip(starts.tolist(), ends.tolist(), labels.tolist(), strict=True))
