import numpy
import pytest
import torch
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_deeper.layers.char_birnn import CharBiRNN
from spacy_deeper.layers.pytorch.char_birnn import CharBiRNN as TorchCharBiRNN
from spacy_deeper.layers.torch_layer import shim_of

CELLS = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}
WORDS = ["Poe", "was", "born", "in", "a", "Poe", "Boston", "😀x", "x😀", "in", "Ελλάς", "x\u0301"]


def initialized(**settings) -> tuple:
    model = CharBiRNN(**{"width": 6, "embed_size": 4, "rows": 97, **settings})
    model.initialize()
    return model, shim_of(model).module


def word_vector(module: TorchCharBiRNN, cell: str, codes: list[int]) -> numpy.ndarray:
    """Lample et al. (2016): what each direction says when it has read the whole word."""
    rnn = CELLS[cell](module.embed.embedding_dim, module.nO // 2, bidirectional=True)
    rnn.load_state_dict(module.rnn.state_dict())
    outputs = rnn(module.embed.weight[codes][:, None])[0][:, 0].detach().numpy()
    half = module.nO // 2
    return numpy.concatenate([outputs[-1, :half], outputs[0, half:]])


@pytest.mark.parametrize("cell", CELLS)
def test_words_are_encoded_one_by_one(cell: str) -> None:
    model, module = initialized(cell=cell)
    vocab = Vocab()
    docs = [Doc(vocab, words=words) for words in (WORDS[:5], [], WORDS[5:])]
    outputs = model.predict(docs)
    assert [output.shape for output in outputs] == [(5, 6), (0, 6), (7, 6)]
    expected = [word_vector(module, cell, [ord(char) % 97 for char in word]) for word in WORDS]
    numpy.testing.assert_allclose(numpy.concatenate(outputs), expected, atol=1e-6)


def test_the_order_of_characters_and_tokens_matters(make_docs) -> None:
    model, _ = initialized()
    one, other = model.predict(make_docs("on no on", "no on no"))
    numpy.testing.assert_array_equal(one[0], one[2])
    numpy.testing.assert_allclose(one, other[[1, 0, 1]], atol=1e-6)
    assert numpy.abs(one[0] - one[1]).max() > 1e-3


def test_long_words_are_cut(make_docs) -> None:
    docs = make_docs("abcX abcYZ abc ab")
    (cut,) = initialized(max_chars=3)[0].predict(docs)
    numpy.testing.assert_array_equal(cut[0], cut[1])
    numpy.testing.assert_array_equal(cut[0], cut[2])
    assert numpy.abs(cut[2] - cut[3]).max() > 1e-3
    (whole,) = initialized(max_chars=4)[0].predict(docs)
    assert numpy.abs(whole[0] - whole[1]).max() > 1e-3


def test_characters_a_table_apart_share_a_row(make_docs) -> None:
    (output,) = initialized(rows=97)[0].predict(make_docs(f"a {chr(ord('a') + 97)} b"))
    numpy.testing.assert_array_equal(output[0], output[1])
    assert numpy.abs(output[0] - output[2]).max() > 1e-3


@pytest.mark.parametrize("n_docs", [1, 3])
def test_no_tokens(make_docs, n_docs: int) -> None:
    model, _ = initialized()
    outputs, backprop = model.begin_update(make_docs(*[""] * n_docs))
    assert [output.shape for output in outputs] == [(0, 6)] * n_docs
    backprop(outputs)
    model.finish_update(lambda key, weights, gradient: (weights, gradient))


def test_a_word_without_characters_is_zeros() -> None:
    module = TorchCharBiRNN(rows=9, embed_size=4, nO=6, cell="gru")
    output = module(torch.tensor([1, 2, 3]), torch.tensor([1, 0, 2]))
    assert output[1].tolist() == [0] * 6
    assert (output[[0, 2]] != 0).all()


@pytest.mark.parametrize(("settings", "code"), [({"width": 5}, "D202"), ({"cell": "rnn"}, "D203")])
def test_settings_that_can_not_be(settings: dict, code: str) -> None:
    with pytest.raises(ValueError, match=rf"^\[{code}\]"):
        CharBiRNN(**settings)
