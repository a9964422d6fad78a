from itertools import combinations

import numpy
import pytest
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab
from thinc.api import Model, chain

from spacy_deeper.layers.casing import Casing
from spacy_deeper.layers.char_birnn import CharBiRNN
from spacy_deeper.layers.scalar_mix import ScalarMix
from spacy_deeper.layers.static_vectors import StaticVectors
from spacy_deeper.layers.token_dropout import TokenDropout
from spacy_deeper.models.embedding import JointEmbed

WIDTHS = {"contextual": 5, "static": 3, "char": 4, "casing": 7}
SUBSETS = [names for n in range(1, 5) for names in combinations(WIDTHS, n)]


def encoder() -> Model:
    """A frozen contextual encoder of two layers."""

    def forward(model: Model, docs: list[Doc], is_train: bool):
        rng = numpy.random.default_rng(0)
        rows = [rng.normal(size=(len(doc), 2, 5)) for doc in docs]
        return [row.astype(model.attrs["dtype"]) for row in rows], lambda dYs: []

    return Model("encoder", forward, attrs={"dtype": "float32"})


def part(name: str) -> Model:
    return {
        "contextual": lambda: chain(encoder(), ScalarMix()),
        "static": StaticVectors,
        "char": lambda: CharBiRNN(width=4, embed_size=3, rows=50),
        "casing": Casing,
    }[name]()


@pytest.fixture
def docs() -> list[Doc]:
    vocab = Vocab()
    words = [["Poe", "was", "born"], [], ["in", "Boston"]]
    data = numpy.random.default_rng(0).normal(size=(5, 3)).astype("f")
    keys = [word for row in words for word in row]
    vocab.vectors = Vectors(strings=vocab.strings, data=data, keys=keys)
    return [Doc(vocab, words=row) for row in words]


@pytest.mark.parametrize("names", SUBSETS, ids="+".join)
def test_the_parts_of_equation_1_in_its_order(docs: list[Doc], names: tuple[str, ...]) -> None:
    parts = {name: part(name) for name in reversed(names)}
    model = JointEmbed(**parts)
    model.initialize(X=docs)
    width = sum(WIDTHS[name] for name in names)
    assert model.get_dim("nO") == width
    outputs, backprop = model.begin_update(docs)
    assert [output.shape for output in outputs] == [(3, width), (0, width), (2, width)]
    for i, output in enumerate(outputs):
        expected = [parts[name].predict(docs)[i] for name in names]
        assert [rows.shape[1] for rows in expected] == [WIDTHS[name] for name in names]
        numpy.testing.assert_allclose(output, numpy.hstack(expected), atol=1e-6)
    batch = list(docs)
    backprop(outputs)
    assert docs == batch  # left alone


def test_gradients_reach_each_part(check_gradients, docs: list[Doc]) -> None:
    frozen = encoder()
    char = CharBiRNN(width=2, embed_size=2, rows=7)
    model = JointEmbed(contextual=chain(frozen, ScalarMix()), char=char)
    model.initialize(X=docs)
    frozen.attrs["dtype"] = check_gradients.dtype
    check_gradients(model, docs)


def test_no_part() -> None:
    with pytest.raises(ValueError, match=r"^\[D205\]"):
        JointEmbed()


def test_static_vectors_without_vectors(make_docs) -> None:
    model = JointEmbed(static=StaticVectors(), casing=Casing())
    with pytest.raises(ValueError, match=r"^\[D206\]"):
        model.initialize(X=make_docs("Poe was born"))


def test_token_dropout_hides_whole_tokens_in_training(docs: list[Doc]) -> None:
    plain = JointEmbed(casing=Casing())
    model = JointEmbed(casing=Casing(), token_dropout=0.25)
    texts = [Doc(docs[0].vocab, words=["word"] * 2000), docs[1]]
    for either in (plain, model):
        either.initialize(X=texts)
    expected = plain.predict(texts)[0]
    numpy.testing.assert_array_equal(model.predict(texts)[0], expected)
    (seen, empty), backprop = model.begin_update(texts)
    assert empty.shape == (0, expected.shape[1])
    hidden = ~seen.any(axis=1)
    assert hidden.mean() == pytest.approx(0.25, abs=0.04)
    numpy.testing.assert_allclose(seen[~hidden], expected[~hidden] / 0.75, rtol=1e-6)
    given: list[list] = []
    model.layers[0]._func = lambda *_, **__: (
        [expected, empty],
        lambda dYs: given.append(dYs) or [],
    )
    (seen, _), backprop = model.begin_update(texts)
    backprop([numpy.ones_like(seen), empty])
    numpy.testing.assert_allclose(given[0][0] * expected, seen, rtol=1e-6)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_rate_that_hides_too_much(rate: float) -> None:
    with pytest.raises(ValueError, match=r"^\[D201\]"):
        TokenDropout(rate)


def test_parts_stand_side_by_side_as_in_training() -> None:
    vocab = Vocab()
    docs = [Doc(vocab, words=words) for words in (["Ada", "lives"], [], ["a"])]
    model = JointEmbed(char=CharBiRNN(width=8, embed_size=4), casing=Casing())
    model.initialize(X=docs)
    expected, _ = model(docs, is_train=True)
    for found, rows in zip(model.predict(docs), expected, strict=True):
        numpy.testing.assert_allclose(found, rows, atol=1e-6)
