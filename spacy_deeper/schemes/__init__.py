"""Tag schemes: how entities are written as one tag for each token.

Tags are integers throughout. 0 is O in every scheme, and new labels are appended, so that a tag
never changes its number.
"""

from typing import Protocol

import numpy
from numpy.typing import NDArray

from . import bilou, bio

OUTSIDE = 0
UNKNOWN = -1  # a token whose tag the annotation does not tell


class Scheme(Protocol):
    """What each of the modules `bio` and `bilou` is."""

    def n_tags(self, n_labels: int) -> int:
        """Return the number of tags, K, for so many entity labels."""

    def tag(self, part: str, label: int) -> int:
        """Return the tag of a token of an entity of label number `label`.

        part: "B", "I", "L" or "U", as spaCy calls the first, an inner, the last and the only token.
        """

    def inside(self, label: int) -> int:
        """Return the tag that continues an entity of label number `label`."""

    def entity(self, label: int, length: int) -> NDArray[numpy.int64]:
        """Return the tags, (length,), of an entity."""

    def tags_to_spans(self, tags: NDArray[numpy.int64]) -> list[tuple[int, int, int]]:
        """Return the (start, end, label number) spans of a well-formed tag sequence, (n,)."""

    def legal_starts(self, tags: int) -> NDArray[numpy.bool_]:
        """Return which of the `tags` tags may begin a text, (K,)."""

    def legal_ends(self, tags: int) -> NDArray[numpy.bool_]:
        """Return which of the `tags` tags may end a text, (K,)."""

    def legal_transitions(self, tags: int) -> NDArray[numpy.bool_]:
        """Return which tag may follow which, (K, K), [previous, next]."""


SCHEMES: dict[str, Scheme] = {"bio": bio, "bilou": bilou}
