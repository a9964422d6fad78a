import warnings

import numpy
import pytest
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model

from spacy_deeper.layers.adversarial import AWAITED, Adversarial

VOCAB = Vocab()
DOCS = [Doc(VOCAB, words=words) for words in (["Poe", "was", "born"], [], ["in", "Boston"])]
WIDTH = 4


def vectors(docs: list[Doc]) -> list[numpy.ndarray]:
    rng = numpy.random.default_rng(0)
    return [rng.normal(size=(len(doc), WIDTH)).astype("f") for doc in docs]


def layer(size: float, seen: list | None = None) -> Model:
    """The layer above an embedding that tells which gradients it is given."""

    def forward(model: Model, docs: list[Doc], is_train: bool):
        return vectors(docs), lambda dXs: [] if seen is None else seen.append(dXs) or []

    return Adversarial(Model("embed", forward, dims={"nO": WIDTH}), size)


def changes(model: Model, dXs: list[numpy.ndarray], docs: list[Doc] = DOCS) -> list[numpy.ndarray]:
    """What is added to the vectors the second time, if the gradients are these the first time."""
    first, backprop = model.begin_update(docs)
    for X, expected in zip(first, vectors(docs), strict=True):
        numpy.testing.assert_array_equal(X, expected)
    backprop(dXs)
    second, _ = model.begin_update([doc.copy() for doc in docs])
    return [X - expected for X, expected in zip(second, vectors(docs), strict=True)]


def test_no_change_of_that_length_raises_the_loss_more() -> None:
    rng = numpy.random.default_rng(1)
    target = vectors(DOCS[:1])[0] + rng.normal(size=(3, WIDTH)).astype("f")

    def loss(X: numpy.ndarray) -> float:
        return float(((X - target) ** 2).sum())

    X = vectors(DOCS[:1])[0]
    (change,) = changes(layer(0.001), [2 * (X - target)], DOCS[:1])
    assert numpy.linalg.norm(change) == pytest.approx(0.001 * numpy.linalg.norm(X), rel=1e-3)
    others = rng.normal(size=(2000, 3, WIDTH))
    others *= numpy.linalg.norm(change) / numpy.linalg.norm(others, axis=(1, 2), keepdims=True)
    assert loss(X + change) > max(loss(X + other) for other in others) > loss(X)


def test_each_text_is_changed_by_its_own_gradient() -> None:
    dXs = [
        numpy.zeros((3, WIDTH), "f"),
        numpy.zeros((0, WIDTH), "f"),
        numpy.eye(2, WIDTH, dtype="f"),
    ]
    first, empty, last = changes(layer(0.1), dXs)
    assert not first.any()
    assert empty.shape == (0, WIDTH)
    length = 0.1 * numpy.linalg.norm(vectors(DOCS)[2])
    numpy.testing.assert_allclose(last, dXs[2] * length / 2**0.5, atol=1e-6)


def test_only_the_second_time_and_in_training() -> None:
    seen: list = []
    model = layer(0.1, seen)
    plain, dXs = vectors(DOCS), [numpy.ones_like(X) for X in vectors(DOCS)]
    Xs, backprop = model.begin_update(DOCS)
    backprop(dXs)
    numpy.testing.assert_array_equal(model.predict(DOCS)[0], plain[0])  # as for annotating
    other, _ = model.begin_update(DOCS[:1])
    numpy.testing.assert_array_equal(other[0], plain[0])
    Xs, backprop = model.begin_update(DOCS)
    assert (Xs[0] != plain[0]).all()
    backprop(dXs)
    third, _ = model.begin_update(DOCS)
    numpy.testing.assert_array_equal(third[0], plain[0])
    assert len(seen) == 2
    assert all(given is dXs for given in seen)


def test_batches_that_never_come_twice() -> None:
    model = layer(0.1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for i in range(AWAITED + 1):
            assert not caught
            (X,), backprop = model.begin_update([Doc(VOCAB, words=[f"w{i}"])])
            backprop([X])
    assert [str(warning.message)[:7] for warning in caught] == ["[DW203]"]


@pytest.mark.parametrize("size", [-0.1, 1.0, float("nan")])
def test_sizes_that_are_no_share(size: float) -> None:
    with pytest.raises(ValueError, match=r"^\[D232\]"):
        layer(size)
