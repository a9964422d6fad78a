from spacy.training.batchers import minibatch_by_padded_size
from spacy.util import registry

from spacy_deeper.training.batchers import batch_twice


def test_each_batch_comes_twice() -> None:
    assert registry.batchers.get("spacy_deeper.batch_twice.v1") is batch_twice
    items = ["aaaa", "aa", "aaa", "a"]

    def batcher(items):
        return minibatch_by_padded_size(items, size=6, buffer=4)

    once = [list(batch) for batch in batcher(items)]
    assert len(once) > 1
    twice = list(batch_twice(batcher)(items))
    assert twice[::2] == twice[1::2] == once
