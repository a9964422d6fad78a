import numpy
import pytest
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_deeper.layers.casing import CASINGS, Casing

TABLE = {
    "numeric": ["1", "1984", "٣", "²"],
    "mostly_numeric": ["1,000", "3.14", "12a", "12A", "-10"],
    "all_lower": ["poe", "don't", "straße", "mid-1990s", "a1", "1st"],
    "all_upper": ["USA", "U.S.", "A", "B2", "X-RAY"],
    "initial_upper": ["Poe", "McDonald", "Élan", "B2b", "Smith-Jones"],
    "contains_digit": ["x2Y", "$5", "1-A-b", "5-"],
    "other": [",", "...", "iPhone", "日本", "½", " ", "-A-b"],
}


@pytest.mark.parametrize(("name", "word"), [(name, word) for name in TABLE for word in TABLE[name]])
def test_classes(name: str, word: str) -> None:
    (rows,) = Casing().predict([Doc(Vocab(), words=[word])])
    assert rows.tolist() == [[float(name == other) for other in CASINGS]]


def test_the_classes_have_an_order_that_never_changes() -> None:
    assert list(CASINGS) == list(TABLE)


def test_one_row_for_each_token(make_docs) -> None:
    model = Casing()
    outputs, backprop = model.begin_update(make_docs("Poe was 40", "", "40 Poe"))
    assert [output.argmax(axis=1).tolist() for output in outputs] == [[4, 2, 0], [], [0, 4]]
    assert all(output.dtype == "float32" for output in outputs)
    backprop(outputs)
    numpy.testing.assert_array_equal(outputs[0][0], outputs[2][1])
    assert [output.shape for output in model.predict(make_docs("", ""))] == [(0, 7), (0, 7)]
    assert model.get_dim("nO") == 7
