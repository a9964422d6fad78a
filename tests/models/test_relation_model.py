import tracemalloc
from itertools import combinations

import numpy
import pytest
import torch
from spacy.tokens import Doc
from thinc.api import Model, NumpyOps

from spacy_deeper.layers.birnn import BiRNN
from spacy_deeper.layers.distmult import DistMult
from spacy_deeper.layers.relation_head import RelationHead
from spacy_deeper.layers.torch_layer import shim_of
from spacy_deeper.models.entity_states import maximum
from spacy_deeper.models.relation_model import RelationModel

WIDTH, TAG_WIDTH, N_TAGS, N_RELATIONS = 4, 3, 5, 2
TEXTS = ["Poe was born in Boston", "he died", "", "in Baltimore"]


def pairs(*rows: tuple[int, int]) -> numpy.ndarray:
    """(last token, tag) of each entity."""
    return numpy.array(rows, dtype="int64").reshape(-1, 2)


# The second and third entity of the first text end at the same token.
ENTITIES = [pairs((0, 1), (4, 3), (4, 2)), pairs(), pairs(), pairs((1, 3))]


class Rows:
    """A tok2vec whose rows are given, and which keeps the gradients that reach it."""

    def __init__(self, docs: list[Doc]) -> None:
        rng = numpy.random.default_rng(0)
        self.rows = [rng.normal(size=(len(doc), WIDTH)).astype("f") for doc in docs]
        self.gradients: list[list[numpy.ndarray]] = []
        self.model = Model("rows", self.forward, dims={"nO": WIDTH})

    def forward(self, model: Model, docs: list[Doc], is_train: bool):
        def backprop(dYs):
            self.gradients.append(dYs)
            return []

        return [rows.copy() for rows in self.rows], backprop


def make_model(rows: Rows, depth: int = 1, head: Model | None = None) -> Model:
    if head is None:
        head = RelationHead(3, "tanh")
    model = RelationModel(rows.model, BiRNN(WIDTH, depth), head, label_embedding=TAG_WIDTH)
    model.set_dim("nO", N_RELATIONS)
    model.get_ref("labels").set_dim("nV", N_TAGS)
    return model


@pytest.fixture
def docs(make_docs) -> list[Doc]:
    return make_docs(*TEXTS)


def test_an_entity_is_its_last_token_beside_its_tag(docs: list[Doc]) -> None:
    """Equation 3, then whatever the head does: here equation 4."""
    rows = Rows(docs)
    model = make_model(rows, 0, DistMult())
    model.initialize(X=(docs, ENTITIES))
    tags = shim_of(model.get_ref("labels")).module.weight.detach().numpy()
    diagonals = shim_of(model.get_ref("output_layer")).module.diagonals.detach().numpy()
    assert tags.shape == (N_TAGS, TAG_WIDTH)
    assert diagonals.shape == (N_RELATIONS, WIDTH + TAG_WIDTH)
    outputs = model.predict((docs, ENTITIES))
    assert [output.shape for output in outputs] == [(m, m, 2) for m in (3, 0, 0, 1)]
    for output, entities, tokens in zip(outputs, ENTITIES, rows.rows, strict=True):
        g = [numpy.concatenate([tokens[token], tags[tag]]) for token, tag in entities]
        for i, g_i in enumerate(g):
            for j, g_j in enumerate(g):
                expected = [(i != j) * g_i @ numpy.diag(diagonal) @ g_j for diagonal in diagonals]
                numpy.testing.assert_allclose(output[i, j], expected, atol=1e-5)


def test_a_text_does_not_depend_on_its_neighbours(docs: list[Doc]) -> None:
    rows = Rows(docs)
    model = make_model(rows)
    model.initialize(X=(docs, ENTITIES))
    together = model.predict((docs, ENTITIES))
    all_rows = rows.rows
    for i, output in enumerate(together):
        rows.rows = all_rows[i : i + 1]
        (alone,) = model.predict((docs[i : i + 1], ENTITIES[i : i + 1]))
        numpy.testing.assert_allclose(output, alone, atol=1e-6)


@pytest.mark.parametrize("depth", [0, 1])
def test_gradients(check_gradients, docs: list[Doc], depth: int) -> None:
    rows = Rows(docs)
    model = make_model(rows, depth)
    model.initialize(X=(docs, ENTITIES))
    rows.rows = [row.astype(check_gradients.dtype) for row in rows.rows]
    check_gradients(model, (docs, ENTITIES), lambda X: rows.rows, lambda dX: rows.gradients.pop())


def test_gradients_of_entities_that_end_at_one_token_add_up(docs: list[Doc]) -> None:
    rows = Rows(docs)
    model = make_model(rows, 0)
    model.initialize(X=(docs, ENTITIES))
    scores, backprop = model.begin_update((docs, ENTITIES))
    total = numpy.zeros_like(rows.rows[0])
    for pair in combinations(range(3), 2):
        # What each pair sends back alone.
        d_scores = [numpy.zeros_like(text) for text in scores]
        d_scores[0][pair] = 1
        _, alone = model.begin_update((docs, ENTITIES))
        alone(d_scores)
        dX = rows.gradients.pop()
        assert [numpy.abs(row).max() > 0 for row in dX[0]] == [
            i in [ENTITIES[0][entity, 0] for entity in pair] for i in range(5)
        ]
        total += dX[0]
    d_scores = [numpy.zeros_like(text) for text in scores]
    d_scores[0][numpy.triu_indices(3, 1)] = 1
    backprop(d_scores)
    numpy.testing.assert_allclose(rows.gradients.pop()[0], total, atol=1e-5)


def test_texts_without_entities_send_zeros_back(docs: list[Doc]) -> None:
    rows = Rows(docs)
    model = make_model(rows, 1)
    model.initialize(X=(docs, ENTITIES))
    for entities in (ENTITIES, [pairs()] * 4):
        scores, backprop = model.begin_update((docs, entities))
        backprop([numpy.ones_like(text) for text in scores])
        (gradients,) = rows.gradients
        rows.gradients.clear()
        assert [g.shape for g in gradients] == [(len(doc), WIDTH) for doc in docs]
        for gradient, of_text in zip(gradients, entities, strict=True):
            assert gradient.any() == (len(of_text) > 1)


def test_no_tokens_at_all(make_docs) -> None:
    docs = make_docs("", "")
    rows = Rows(docs)
    model = make_model(rows)
    filled = make_docs("Poe was")
    init_rows = rows.rows
    rows.rows = Rows(filled).rows
    model.initialize(X=(filled, [pairs()]))
    rows.rows = init_rows
    scores, backprop = model.begin_update((docs, [pairs(), pairs()]))
    assert [text.shape for text in scores] == [(0, 0, 2)] * 2
    backprop(scores)
    assert [g.shape for g in rows.gradients[0]] == [(0, WIDTH)] * 2


def test_bytes_fill_a_model_that_knows_no_sizes(docs: list[Doc]) -> None:
    rows = Rows(docs)
    model = make_model(rows)
    model.initialize(X=(docs, ENTITIES))
    other = RelationModel(rows.model, BiRNN(WIDTH, 1), RelationHead(3, "tanh"), TAG_WIDTH)
    other.from_bytes(model.to_bytes())
    assert other.get_dim("nO") == N_RELATIONS
    X = (docs, ENTITIES)
    for one, two in zip(model.predict(X), other.predict(X), strict=True):
        numpy.testing.assert_array_equal(one, two)


def test_new_labels_and_tags(docs: list[Doc]) -> None:
    rows = Rows(docs)
    model = make_model(rows, 1, DistMult())
    model.initialize(X=(docs, ENTITIES))
    X = (docs, ENTITIES)
    before = model.predict(X)
    model.attrs["resize_output"](model, 4)
    model.attrs["resize_tags"](model, 7)
    assert model.get_dim("nO") == 4
    after = model.predict(X)
    assert [text.shape for text in after] == [(m, m, 4) for m in (3, 0, 0, 1)]
    for one, other in zip(after, before, strict=True):
        numpy.testing.assert_allclose(one[..., :2], other, atol=1e-6)
    new = [pairs((0, 6), (4, 5)), pairs(), pairs(), pairs()]
    scores, backprop = model.begin_update((docs, new))
    backprop(scores)
    assert scores[0].shape == (2, 2, 4)


# Beyond the paper: (last token, tag, first token) of each entity ----------------------------------

# Of a single token, longer, within another, and to the end of a text.
SPANS = [
    numpy.array([(0, 1, 0), (4, 3, 2), (4, 2, 3)]),
    numpy.zeros((0, 3), dtype="int64"),
    numpy.zeros((0, 3), dtype="int64"),
    numpy.array([(1, 3, 0), (0, 1, 0)]),
]
STATES = {
    "final": lambda rows: rows[-1],
    "ends": lambda rows: numpy.concatenate([rows[-1], rows[0]]),
    "max": lambda rows: rows.max(axis=0),
}


def full_head(**settings) -> Model:
    options = {"context": "between", "distance": True, "type_pairs": True, "scorer_hidden": 5}
    return RelationHead(3, "tanh", **{**options, **settings})


def make_full_model(rows: Rows, entity: str = "ends", **settings) -> Model:
    head = full_head(**settings)
    model = RelationModel(rows.model, BiRNN(WIDTH, 1), head, TAG_WIDTH, entity=entity)
    model.set_dim("nO", N_RELATIONS)
    model.get_ref("labels").set_dim("nV", N_TAGS)
    return model


@pytest.mark.parametrize("entity", STATES)
def test_what_stands_for_an_entity(docs: list[Doc], entity: str) -> None:
    rows = Rows(docs)
    model = RelationModel(rows.model, BiRNN(WIDTH, 0), DistMult(), TAG_WIDTH, entity=entity)
    model.set_dim("nO", N_RELATIONS)
    model.get_ref("labels").set_dim("nV", N_TAGS)
    model.initialize(X=(docs, SPANS))
    tags = shim_of(model.get_ref("labels")).module.weight.detach().numpy()
    diagonals = shim_of(model.get_ref("output_layer")).module.diagonals.detach().numpy()
    for output, spans, tokens in zip(model.predict((docs, SPANS)), SPANS, rows.rows, strict=True):
        g = [
            numpy.concatenate([STATES[entity](tokens[first : last + 1]), tags[tag]])
            for last, tag, first in spans
        ]
        for i, g_i in enumerate(g):
            for j, g_j in enumerate(g):
                expected = (i != j) * diagonals @ (g_i * g_j)
                numpy.testing.assert_allclose(output[i, j], expected, atol=1e-5)


@pytest.mark.parametrize("entity", STATES)
def test_gradients_beyond_the_paper(check_gradients, docs: list[Doc], entity: str) -> None:
    rows = Rows(docs)
    model = make_full_model(rows, entity)
    model.initialize(X=(docs, SPANS))
    for number, shim in enumerate(shim for node in model.walk() for shim in node.shims):
        torch.manual_seed(number)
        for parameter in shim.module.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    # Far from each other, so that no maximum changes within the differences.
    rng = numpy.random.default_rng(0)
    rows.rows = [
        rng.permuted(numpy.arange(row.size, dtype=check_gradients.dtype) / 8).reshape(row.shape)
        for row in rows.rows
    ]
    check_gradients(model, (docs, SPANS), lambda X: rows.rows, lambda dX: rows.gradients.pop())


def test_the_maximum_takes_no_memory_for_entities_times_tokens() -> None:
    """One entity is as long as the text, and there are many others."""
    rng = numpy.random.default_rng(0)
    H = rng.normal(size=(4096, 8)).astype("f")
    first = numpy.arange(0, len(H), 4)
    last = first + rng.integers(0, 4, size=len(first))
    last[0] = len(H) - 1
    d_states = rng.normal(size=(len(first), 8)).astype("f")
    tracemalloc.start()
    states, backprop = maximum(NumpyOps(), H, first, last)
    dH = backprop(d_states)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * H.nbytes
    expected, d_expected = numpy.zeros_like(states), numpy.zeros_like(H)
    for i, (start, end) in enumerate(zip(first, last, strict=True)):
        expected[i] = H[start : end + 1].max(axis=0)
        winner = start + H[start : end + 1].argmax(axis=0)
        d_expected[winner, range(8)] += d_states[i]
    numpy.testing.assert_array_equal(states, expected)
    numpy.testing.assert_allclose(dH, d_expected, atol=1e-6)


def test_neighbours_beyond_the_paper(docs: list[Doc]) -> None:
    for entity in STATES:
        rows = Rows(docs)
        model = make_full_model(rows, entity)
        model.initialize(X=(docs, SPANS))
        together = model.predict((docs, SPANS))
        all_rows = rows.rows
        for i, output in enumerate(together):
            rows.rows = all_rows[i : i + 1]
            (alone,) = model.predict((docs[i : i + 1], SPANS[i : i + 1]))
            numpy.testing.assert_allclose(output, alone, atol=1e-6)


@pytest.mark.parametrize("entity", STATES)
def test_no_entities_beyond_the_paper(docs: list[Doc], entity: str) -> None:
    rows = Rows(docs)
    model = make_full_model(rows, entity)
    model.initialize(X=(docs, SPANS))
    scores, backprop = model.begin_update((docs, [SPANS[1]] * 4))
    assert [text.shape for text in scores] == [(0, 0, 2)] * 4
    backprop(scores)
    assert [g.shape for g in rows.gradients[0]] == [(len(doc), WIDTH) for doc in docs]
    assert not any(g.any() for g in rows.gradients[0])


def test_bytes_and_new_tags_beyond_the_paper(docs: list[Doc]) -> None:
    rows = Rows(docs)
    model = make_full_model(rows)
    model.initialize(X=(docs, SPANS))
    X = (docs, SPANS)
    other = RelationModel(rows.model, BiRNN(WIDTH, 1), full_head(), TAG_WIDTH, entity="ends")
    other.from_bytes(model.to_bytes())
    for one, two in zip(model.predict(X), other.predict(X), strict=True):
        numpy.testing.assert_array_equal(one, two)
    other.attrs["resize_tags"](other, N_TAGS + 2)
    for one, two in zip(model.predict(X), other.predict(X), strict=True):
        numpy.testing.assert_allclose(one, two, atol=1e-6)
    new = [spans.copy() for spans in SPANS]
    new[0][0, 1] = N_TAGS + 1
    scores, backprop = other.begin_update((docs, new))
    backprop(scores)


def test_an_unknown_entity_state(docs: list[Doc]) -> None:
    with pytest.raises(ValueError, match=r"\[D203\].*final, ends, max"):
        RelationModel(Rows(docs).model, BiRNN(WIDTH, 1), RelationHead(), entity="first")
