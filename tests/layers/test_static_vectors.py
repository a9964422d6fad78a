import numpy
import pytest
from spacy.attrs import LOWER
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab
from thinc.api import Model

from spacy_deeper.layers.static_vectors import StaticVectors


def vocab_with(settings: dict) -> Vocab:
    vocab = Vocab(lex_attr_getters={LOWER: str.lower})
    data = numpy.arange(1, 13, dtype="f").reshape(4, 3)
    vocab.vectors = Vectors(strings=vocab.strings, data=data, **settings)
    return vocab


KEYS = {"keys": ["poe", "Boston", "born", "last"]}
FLORET = {"mode": "floret", "hash_count": 2, "minn": 2, "maxn": 3}


def test_words_get_their_vectors_and_the_unknown_zeros() -> None:
    vocab = vocab_with(KEYS)
    docs = [Doc(vocab, words=text.split()) for text in ("Boston who poe Poe", "", "poe", "?")]
    model = StaticVectors()
    model.initialize(X=docs)
    assert model.get_dim("nO") == 3
    outputs, backprop = model.begin_update(docs)
    assert [output.shape for output in outputs] == [(4, 3), (0, 3), (1, 3), (1, 3)]
    assert outputs[0].tolist() == [[4, 5, 6], [0, 0, 0], [1, 2, 3], [0, 0, 0]]
    assert outputs[2].tolist() == [[1, 2, 3]]
    assert outputs[3].tolist() == [[0, 0, 0]]
    backprop(outputs)


@pytest.mark.parametrize(
    "settings", [KEYS, {**KEYS, "attr": "LOWER"}, FLORET], ids=["orth", "lower", "floret"]
)
def test_vectors_are_those_of_the_tokens(settings: dict) -> None:
    docs = [Doc(vocab_with(settings), words=["Poe", "poe", "BOSTON", "Boston", "unheard-of", " "])]
    model = StaticVectors()
    model.initialize(X=docs)
    expected = [token.vector for token in docs[0]]
    numpy.testing.assert_allclose(model.predict(docs)[0], expected, atol=1e-6)


def test_no_tokens() -> None:
    vocab = vocab_with(KEYS)
    docs = [Doc(vocab), Doc(vocab)]
    model = StaticVectors()
    model.initialize(X=docs)
    assert [output.shape for output in model.predict(docs)] == [(0, 3), (0, 3)]


def test_no_vectors(make_docs) -> None:
    with pytest.raises(ValueError, match=r"^\[D206\].*\[initialize\] vectors"):
        StaticVectors().initialize(X=make_docs("Poe"))


def make(docs: list[Doc], **settings) -> Model:
    model = StaticVectors(**settings)
    model.initialize(X=docs)
    return model


def test_a_learned_projection() -> None:
    docs = [Doc(vocab_with(KEYS), words=["poe", "who"]), Doc(vocab_with(KEYS))]
    model = make(docs, width=5)
    outputs = model.predict(docs)
    assert [output.shape for output in outputs] == [(2, 5), (0, 5)]
    numpy.testing.assert_allclose(outputs[0][0], model.get_param("W") @ [1, 2, 3], rtol=1e-5)
    assert not outputs[0][1].any()  # there is no bias: unknown stays zeros


def test_a_learned_unknown_vector() -> None:
    docs = [Doc(vocab_with(KEYS), words=["who", "poe", "?"])]
    model = make(docs, unknown="learned")
    assert model.predict(docs)[0].tolist() == [[0, 0, 0], [1, 2, 3], [0, 0, 0]]
    outputs, backprop = model.begin_update(docs)
    backprop([numpy.ones_like(output) for output in outputs])
    model.finish_update(lambda key, weights, gradient: (weights - gradient, gradient))
    assert model.predict(docs)[0].tolist() == [[-2, -2, -2], [1, 2, 3], [-2, -2, -2]]


@pytest.mark.parametrize("settings", [{"width": 2}, {"width": 2, "unknown": "learned"}])
def test_gradients(settings: dict) -> None:
    vocab = vocab_with(KEYS)
    docs = [Doc(vocab, words=["who", "poe", "born"]), Doc(vocab), Doc(vocab, words=["Boston"])]
    model = make(docs, **settings)
    outputs, backprop = model.begin_update(docs)
    rng = numpy.random.default_rng(0)
    weights = [rng.normal(size=output.shape).astype("f") for output in outputs]
    backprop(weights)
    for name in model.param_names:
        values, eps = model.get_param(name), 0.01
        for index in numpy.ndindex(*values.shape):
            value, losses = values[index], []
            for values[index] in (value - eps, value + eps):
                outputs = model.predict(docs)
                losses.append(sum((w * y).sum() for w, y in zip(weights, outputs, strict=True)))
            values[index] = value
            slope = (losses[1] - losses[0]) / (2 * eps)
            assert model.get_grad(name)[index] == pytest.approx(slope, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(
    ("case_fallback", "expected"),
    [
        (False, [[1, 2, 3], [0, 0, 0], [4, 5, 6], [0, 0, 0], [7, 8, 9]]),
        # "BOSTON" has none either: its lower-case form is not that of the table, "Boston".
        (True, [[1, 2, 3], [1, 2, 3], [4, 5, 6], [0, 0, 0], [7, 8, 9]]),
    ],
)
def test_case_fallback(case_fallback: bool, expected: list) -> None:
    docs = [Doc(vocab_with(KEYS), words=["poe", "POE", "Boston", "BOSTON", "born"])]
    model = make(docs, case_fallback=case_fallback)
    assert model.predict(docs)[0].tolist() == expected


@pytest.mark.parametrize("settings", [{}, {"width": 2, "unknown": "learned"}])
def test_saved_and_loaded(settings: dict) -> None:
    docs = [Doc(vocab_with(KEYS), words=["poe", "who"])]
    model = make(docs, **settings)
    loaded = StaticVectors(**settings).from_bytes(model.to_bytes())
    numpy.testing.assert_array_equal(loaded.predict(docs)[0], model.predict(docs)[0])


@pytest.mark.parametrize("settings", [{}, {"width": 3}])
def test_vectors_of_another_width(settings: dict, make_docs) -> None:
    model = make([Doc(vocab_with(KEYS), words=["poe"])], **settings)
    wide = Vocab()
    wide.vectors = Vectors(strings=wide.strings, data=numpy.ones((1, 7), "f"), keys=["poe"])
    with pytest.raises(ValueError, match=r"^\[D260\].* 3 wide.* 7 wide"):
        model.predict([Doc(wide, words=["poe"])])
    with pytest.raises(ValueError, match=r"^\[D260\].* 3 wide.* 0 wide"):
        model.predict(make_docs("poe"))


def test_settings_that_are_not_known() -> None:
    with pytest.raises(ValueError, match=r"^\[D203\].*'random'"):
        StaticVectors(unknown="random")
    with pytest.raises(ValueError, match=r"^\[D216\] The setting width"):
        StaticVectors(width=0)
