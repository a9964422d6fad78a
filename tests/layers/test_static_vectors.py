import numpy
import pytest
from spacy.attrs import LOWER
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab

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
    if "attr" in settings and not hasattr(Vectors, "attr"):
        pytest.skip("vectors of an old spaCy are of the text only")
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
