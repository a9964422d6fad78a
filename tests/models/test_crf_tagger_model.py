import numpy
import pytest
from spacy.tokens import Doc
from thinc.api import Model, chain

from spacy_deeper.layers.birnn import BiRNN
from spacy_deeper.layers.char_birnn import CharBiRNN
from spacy_deeper.layers.crf import viterbi
from spacy_deeper.layers.torch_layer import shim_of
from spacy_deeper.models.tagger import CRFTagger


def make_tagger(depth: int = 1, n_tags: int | None = 5) -> Model:
    tok2vec = CharBiRNN(width=4, embed_size=2, rows=11)
    return CRFTagger(tok2vec, BiRNN(4, depth), hidden_size=3, activation="tanh", nO=n_tags)


@pytest.fixture
def docs(make_docs) -> list[Doc]:
    return make_docs("Poe was born", "", "in Boston")


TAGS = [numpy.array(tags, dtype="int64") for tags in ([1, 2, 0], [], [-1, 3])]


@pytest.mark.parametrize("depth", [0, 2])
def test_emissions_are_the_parts_one_after_the_other(docs: list[Doc], depth: int) -> None:
    model = make_tagger(depth)
    model.initialize(X=docs)
    emissions = model.predict(docs)
    assert [rows.shape for rows in emissions] == [(3, 5), (0, 5), (2, 5)]
    tok2vec, encode, scorer = model.get_ref("emissions").layers
    assert tok2vec is model.get_ref("tok2vec")
    assert scorer is model.get_ref("output_layer")
    expected = scorer.predict(encode.predict(tok2vec.predict(docs)))
    for one, other in zip(emissions, expected, strict=True):
        numpy.testing.assert_array_equal(one, other)


def test_the_number_of_tags_may_come_late(docs: list[Doc]) -> None:
    model = make_tagger(n_tags=None)
    model.set_dim("nO", 7)
    model.initialize(X=docs)
    emissions = model.predict(docs)
    assert [rows.shape[1] for rows in emissions] == [7, 7, 7]
    assert [len(tags) for tags in viterbi(model.get_ref("crf"), emissions)] == [3, 0, 2]


def test_gradients_of_the_emissions(check_gradients, docs: list[Doc]) -> None:
    model = make_tagger()
    model.initialize(X=docs)
    check_gradients(model, docs)


def test_gradients_of_the_loss(check_gradients, docs: list[Doc]) -> None:
    """Through the CRF to the characters, as an update of the component goes."""
    tagger = make_tagger()
    tagger.initialize(X=docs)
    crf = tagger.get_ref("crf")

    def forward(model: Model, docs: list[Doc], is_train: bool):
        emissions, bp_emissions = tagger(docs, is_train)
        losses, bp_losses = crf((emissions, TAGS), is_train)
        return losses, lambda d_losses: bp_emissions(bp_losses(d_losses))

    check_gradients(Model("loss", forward, layers=[tagger]), docs)


def test_bytes_fill_a_tagger_that_knows_no_sizes(docs: list[Doc]) -> None:
    model, other = make_tagger(), make_tagger(n_tags=None)
    model.initialize(X=docs)
    other.from_bytes(model.to_bytes())
    assert other.get_dim("nO") == 5
    for one, two in zip(model.predict(docs), other.predict(docs), strict=True):
        numpy.testing.assert_array_equal(one, two)
    losses = [m.get_ref("crf").predict((model.predict(docs), TAGS)) for m in (model, other)]
    numpy.testing.assert_array_equal(*losses)


def test_new_tags_leave_the_scores_of_old_ones(docs: list[Doc]) -> None:
    model = make_tagger()
    model.initialize(X=docs)
    before = model.predict(docs)
    transitions = shim_of(model.get_ref("crf")).module.transitions.detach().clone()
    model.attrs["resize_output"](model, 7)
    assert model.get_dim("nO") == 7
    after = model.predict(docs)
    assert [rows.shape for rows in after] == [(3, 7), (0, 7), (2, 7)]
    for one, other in zip(after, before, strict=True):
        numpy.testing.assert_allclose(one[:, :5], other, atol=1e-6)
    resized = shim_of(model.get_ref("crf")).module.transitions.detach()
    assert resized.shape == (7, 7)
    assert (resized[:5, :5] == transitions).all()


def test_a_listener_like_tok2vec_is_called_back_once(docs: list[Doc]) -> None:
    calls = []

    def forward(model: Model, docs: list[Doc], is_train: bool):
        rows = [numpy.ones((len(doc), 4), "f") for doc in docs]
        return rows, lambda dYs: calls.append([dY.shape for dY in dYs]) or []

    tok2vec = Model("listener", forward, dims={"nO": 4})
    model = CRFTagger(chain(tok2vec, BiRNN(4, 0)), BiRNN(4, 1), nO=5)
    model.initialize(X=docs)
    emissions, backprop = model.begin_update(docs)
    backprop(emissions)
    assert calls == [[(3, 4), (0, 4), (2, 4)]]
