import pickle
from pathlib import Path

import numpy
import pytest
import spacy
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model

from spacy_deeper.layers.cached import VectorCache, cached
from spacy_deeper.training.callbacks import use_caches


class Counting:
    """A frozen layer (n, width) that remembers which texts it was run on."""

    def __init__(self, width: int = 3) -> None:
        self.texts: list[str] = []
        table = numpy.random.default_rng(0).normal(size=(50, width)).astype("f")
        self.layer = Model("counting", self.forward, params={"table": table})

    def forward(self, model: Model, docs: list[Doc], is_train: bool):
        assert not is_train
        self.texts += [doc.text for doc in docs]
        rows = [[len(token) for token in doc] for doc in docs]
        return [model.get_param("table")[numpy.array(row, dtype=int)] for row in rows], None


@pytest.fixture
def counting() -> Counting:
    return Counting()


def same(one, other) -> bool:
    return all(numpy.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_each_distinct_text_runs_once(counting: Counting, make_docs) -> None:
    model = cached(counting.layer, max_mb=1)
    docs = make_docs("in Boston", "", "born", "in Boston", "")
    expected = counting.layer.predict(docs)
    counting.texts.clear()
    outputs, backprop = model.begin_update(docs)
    assert same(outputs, expected)
    assert sorted(counting.texts) == ["", "born ", "in Boston "]
    assert backprop(outputs) is not None
    for is_train in (True, False):
        more = make_docs("born", "Poe", "in Boston")
        counting.texts.clear()
        assert same(
            model(more, is_train)[0], [expected[2], model.predict(more[1:2])[0], expected[0]]
        )
        assert counting.texts == (["Poe "] if is_train else [])


def test_not_used_before_training(counting: Counting, make_docs) -> None:
    model = cached(counting.layer, max_mb=1)
    docs = make_docs("born", "born")
    model.initialize(X=docs)
    for _ in range(2):
        model.predict(docs)
    assert counting.texts == ["born "] * 4
    model.begin_update(docs)
    model.predict(docs)
    assert counting.texts == ["born "] * 5


def test_tokens_and_spaces_make_the_text(counting: Counting) -> None:
    vocab = Vocab()
    docs = [
        Doc(vocab, words=["a", "b"], spaces=[True, True]),
        Doc(vocab, words=["a", "b"], spaces=[False, True]),
        Doc(vocab, words=["a", "b"], spaces=[True, False]),
        Doc(vocab, words=["ab"], spaces=[True]),
        Doc(vocab, words=["A", "b"], spaces=[True, True]),
        Doc(vocab, words=["a", "b"], spaces=[True, True], ents=["B-X", "O"]),
    ]
    cached(counting.layer, max_mb=1).begin_update(docs)
    assert counting.texts == ["a b ", "ab ", "a b", "ab ", "A b "]


def test_the_least_recently_used_is_forgotten(make_docs) -> None:
    counting = Counting(width=100_000)  # 0.4 MB a token: two fit into one
    model = cached(counting.layer, max_mb=1)
    a, b, c = make_docs("a", "bb", "ccc")
    model.begin_update([a])
    model.begin_update([b])
    model.begin_update([a])
    model.begin_update([c])  # b goes
    assert counting.texts == ["a ", "bb ", "ccc "]
    model.begin_update([a])
    model.begin_update([c])
    assert counting.texts == ["a ", "bb ", "ccc "]
    model.begin_update([b])  # a goes
    model.begin_update([a])
    assert counting.texts == ["a ", "bb ", "ccc ", "bb ", "a "]


def test_a_text_larger_than_the_cache(make_docs) -> None:
    counting = Counting(width=100_000)
    model = cached(counting.layer, max_mb=1)
    docs = make_docs("a b c", "a b c")
    expected = counting.layer.predict(docs)
    for _ in range(2):
        assert same(model.begin_update(docs)[0], expected)
    assert len(counting.texts) == 4


def test_bytes_are_bounded_and_counted() -> None:
    cache = VectorCache(max_bytes=100)
    batch = numpy.zeros((50, 5), "f")
    for i in range(20):
        cache.put(bytes([i]), batch[i : i + 1 + i % 3], is_train=True)
        held = [cache.get(bytes([j])) for j in range(20)]
        held = [array for array in held if array is not None]
        assert cache.n_bytes == sum(array.nbytes for array in held) <= 100
        assert len(cache) == len(held) >= 1
        assert all(array.base is None for array in held)  # no view of a whole batch


def test_the_cache_is_not_saved(counting: Counting, make_docs) -> None:
    model = cached(counting.layer, max_mb=1)
    before = model.to_bytes()
    model.begin_update(make_docs("in Boston", "born"))
    assert model.to_bytes() == before
    other = cached(Counting().layer, max_mb=1).from_bytes(before)
    docs = make_docs("in Boston")
    assert same(other.predict(docs), model.predict(docs))


def on_disk(counting: Counting, folder: Path, name: str = "model", max_mb: int = 1) -> Model:
    return cached(counting.layer, max_mb, folder, lambda layer: name)


def test_another_run_pays_nothing(make_docs, tmp_path: Path) -> None:
    docs = make_docs("in Boston", "", "born")
    outputs = []
    for name, max_mb, n_texts in [("a", 1, 3), ("a", 1, 0), ("a", 0, 0), ("b", 1, 3)]:
        counting = Counting()
        model = on_disk(counting, tmp_path, name, max_mb)
        for _ in range(2):
            outputs.append(model.begin_update(docs)[0])
        assert len(counting.texts) == n_texts
    assert all(same(output, outputs[0]) for output in outputs)


def test_the_disk_is_left_alone_without_training(counting, make_docs, tmp_path: Path) -> None:
    model = on_disk(counting, tmp_path / "cache")
    model.initialize(X=make_docs("born"))
    model.predict(make_docs("born"))
    assert not (tmp_path / "cache").exists()
    model.begin_update(make_docs("born"))
    assert len(list((tmp_path / "cache" / "model").iterdir())) == 1


@pytest.mark.parametrize(("max_mb", "written"), [(1, 3), (0, 1)])
def test_what_is_predicted_is_written_by_the_next_update(
    counting: Counting, make_docs, tmp_path: Path, max_mb: int, written: int
) -> None:
    """As far as memory holds it. After the last update nothing is written any more."""
    model = on_disk(counting, tmp_path, max_mb=max_mb)
    files = tmp_path / "model"
    model.begin_update(make_docs("born"))
    model.predict(make_docs("in Boston", "Poe"))  # an evaluation
    assert len(list(files.iterdir())) == 1
    model.begin_update(make_docs("born"))
    assert len(list(files.iterdir())) == written
    model.predict(make_docs("in Boston", "Poe", "a"))
    assert len(list(files.iterdir())) == written
    assert counting.texts.count("Poe ") == (1 if max_mb else 2)


@pytest.mark.parametrize("max_mb", [1, 0])
def test_a_frozen_component_can_use_its_cache(
    counting: Counting, make_docs, tmp_path: Path, max_mb: int
) -> None:
    """It is never updated, so nothing else says that a training runs."""
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("tok2vec")
    pipe.model = on_disk(counting, tmp_path, max_mb=max_mb)
    assert use_caches(nlp) is nlp
    for _ in range(2):
        pipe.model.predict(make_docs("born"))
    assert counting.texts == ["born "]


def test_pickled_without_arrays(tmp_path: Path) -> None:
    cache = VectorCache(100, (tmp_path, str))
    cache.put(b"a", numpy.zeros(3, "f"), is_train=True)
    other = pickle.loads(pickle.dumps(cache))
    assert len(other) == 0
    assert (other.max_bytes, other._disk_settings) == (100, (tmp_path, str))
