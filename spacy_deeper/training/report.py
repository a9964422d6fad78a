"""What a conversion read and wrote, and every annotation that it could not keep as it was."""

from collections import Counter
from typing import NamedTuple


class Place(NamedTuple):
    """Where something stands in the input: the file, and what to look for in it."""

    file: str
    place: str = ""

    def __str__(self) -> str:
        return ", ".join(part for part in self if part)

    def within(self, place: str) -> "Place":
        """Go one step further in: from a record to an entity of it, say."""
        return Place(self.file, f"{self.place}, {place}" if self.place else place)


class Loss(NamedTuple):
    """An annotation that was not kept as it was.

    action: "repaired" (it is there, and changed), "dropped" (it is gone), or "ignored" (it never
        was an entity or relation, or its annotator withdrew it: no loss).
    what: "documents", "entities", "relations", or the format's name of what was ignored.
    item: The annotation, to be recognized.
    reason: Why: one of a few phrases, so that they can be counted.
    """

    action: str
    what: str
    reason: str
    item: str
    file: str
    place: str

    @property
    def at(self) -> Place:
        return Place(self.file, self.place)


class Report:
    """The account of a conversion: nothing is changed or left out without an entry here.

    losses (List[Loss]): All entries, in the order of the input.
    read, written (Counter[str]): How many "documents", "entities" and "relations". Each that was
        read was either written, or has one entry that says that it was dropped or ignored.
    """

    def __init__(self) -> None:
        self.losses: list[Loss] = []
        self.read: Counter[str] = Counter()
        self.written: Counter[str] = Counter()

    def repaired(self, at: Place, what: str, item: str, reason: str) -> None:
        """Say that an annotation was changed to be kept."""
        self._add("repaired", at, what, item, reason)

    def dropped(self, at: Place, what: str, item: str, reason: str, *, read: int = 0) -> None:
        """Say that an annotation is not kept. `read` is 1 if it did not count as read so far."""
        self.read[what] += read
        self._add("dropped", at, what, item, reason)

    def ignored(self, at: Place, what: str, item: str, reason: str, *, read: int = 0) -> None:
        """Say that something is no entity or relation, or is not meant to be one."""
        self.read[what] += read
        self._add("ignored", at, what, item, reason)

    def _add(self, action: str, at: Place, what: str, item: str, reason: str) -> None:
        self.losses.append(Loss(action, what, reason, item, at.file, at.place))

    def reasons(self) -> Counter[tuple[str, str, str]]:
        """Count the entries by action, what and reason."""
        return Counter((loss.action, loss.what, loss.reason) for loss in self.losses)

    def real_losses(self) -> list[Loss]:
        """Return what was repaired or dropped: what `--strict` does not stand for."""
        return [loss for loss in self.losses if loss.action != "ignored"]
