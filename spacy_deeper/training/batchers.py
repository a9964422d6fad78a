from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from spacy.util import registry

ItemT = TypeVar("ItemT")
BatcherT = Callable[[Iterable[ItemT]], Iterable[list[ItemT]]]


@registry.batchers("spacy_deeper.batch_twice.v1")
def batch_twice(batcher: BatcherT[ItemT]) -> BatcherT[ItemT]:
    """Create a batcher that gives each batch twice, one after the other.

    It is what `adversarial` of `spacy_deeper.JointEmbed.v1` waits for: the first time it finds the
    change, the second it makes it. An epoch has twice as many steps.

    batcher (Callable[[Iterable], Iterable[list]]): Any batcher, which makes the batches.
    """

    def twice(items: Iterable[ItemT]) -> Iterator[list[ItemT]]:
        for batch in batcher(items):
            batch = list(batch)
            yield batch
            yield batch

    return twice
