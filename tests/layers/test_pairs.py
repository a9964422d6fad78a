"""DISTMULT and the relation head against equations 4 to 6 of Crone (2020), pair by pair."""

import numpy
import pytest
import torch
from torch.nn.functional import cosine_similarity

from spacy_deeper.layers.distmult import DistMult
from spacy_deeper.layers.pytorch.distmult import DistMult as TorchDistMult
from spacy_deeper.layers.pytorch.pairs import BLOCK, blocks, cuts
from spacy_deeper.layers.pytorch.relation_head import RelationHead as TorchRelationHead
from spacy_deeper.layers.relation_head import RelationHead
from spacy_deeper.layers.torch_layer import shim_of

SIZES = [2, 0, 5, 1]
ACTIVATIONS = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": torch.nn.functional.gelu,
    "sigmoid": torch.sigmoid,
    "linear": lambda x: x,
}
P, H, R = 6, 4, 3


def equation_4(diagonals: torch.Tensor, g_i: torch.Tensor, g_j: torch.Tensor) -> torch.Tensor:
    return torch.stack([g_i @ torch.diag(m) @ g_j for m in diagonals])


def equation_6(
    head: TorchRelationHead, activation: str, g_i: torch.Tensor, g_j: torch.Tensor
) -> torch.Tensor:
    f_i, f_j = (ACTIVATIONS[activation](head.r1.weight @ g + head.r1.bias) for g in (g_i, g_j))
    cosine = cosine_similarity(f_i, f_j, dim=0)[None]
    distmult = equation_4(head.distmult.diagonals, g_i, g_j)
    return head.r2.weight @ torch.cat([f_i, f_j, cosine, distmult]) + head.r2.bias


def pair_by_pair(score, entities: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    """Score the ordered pairs of each text with a plain double loop: (Σ m², R)."""
    nothing = entities.new_zeros(R)  # of an entity and itself
    pairs = [
        nothing if i == j else score(g[i], g[j])
        for g in entities.split(sizes)
        for i in range(len(g))
        for j in range(len(g))
    ]
    return torch.stack(pairs) if pairs else torch.zeros(0, R)


def random_entities(sizes: list[int]) -> torch.Tensor:
    return torch.randn(sum(sizes), P, dtype=torch.float64)


@pytest.mark.parametrize("sizes", [SIZES, [1], [0, 0], [], [3, 3]])
def test_distmult(sizes: list[int]) -> None:
    module = TorchDistMult(P, R).double()
    g = random_entities(sizes)
    expected = pair_by_pair(lambda *pair: equation_4(module.diagonals, *pair), g, sizes)
    scores = module(g, torch.tensor(sizes, dtype=torch.int64))
    torch.testing.assert_close(scores, expected.double())


@pytest.mark.parametrize("sizes", [SIZES, [1], [0, 0], [], [3, 3]])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_relation_head(activation: str, sizes: list[int]) -> None:
    module = TorchRelationHead(P, R, H, activation).double()
    g = random_entities(sizes)
    expected = pair_by_pair(lambda *pair: equation_6(module, activation, *pair), g, sizes)
    scores = module(g, torch.tensor(sizes, dtype=torch.int64))
    torch.testing.assert_close(scores, expected.double())


def test_cosine_of_a_zero_vector_is_zero() -> None:
    module = TorchRelationHead(P, R, H, "relu").double()
    torch.nn.init.zeros_(module.r1.bias)
    g = torch.stack([torch.zeros(P), torch.ones(P)]).double().requires_grad_()
    scores = module(g, torch.tensor([2]))
    expected = pair_by_pair(lambda *pair: equation_6(module, "relu", *pair), g, [2])
    torch.testing.assert_close(scores, expected)
    scores.sum().backward()
    assert torch.isfinite(g.grad).all()


@pytest.fixture(params=[DistMult, RelationHead], ids=lambda layer: layer.__name__)
def model(request: pytest.FixtureRequest):
    model = request.param(nI=P, nO=R)
    model.initialize()
    return model


def test_the_layers_cut_scores_by_text(model) -> None:
    g = random_entities(SIZES).float()
    texts = model.predict((g.numpy(), SIZES))
    assert [text.shape for text in texts] == [(m, m, R) for m in SIZES]
    flat = shim_of(model).module(g, torch.tensor(SIZES)).detach().numpy()
    numpy.testing.assert_allclose(numpy.concatenate([t.reshape(-1, R) for t in texts]), flat)


def test_a_batch_scores_as_its_texts_one_by_one(model) -> None:
    g = random_entities(SIZES).float()
    together = model.predict((g.numpy(), SIZES))
    for scores, text in zip(together, g.split(SIZES), strict=True):
        (alone,) = model.predict((text.numpy(), [len(text)]))
        numpy.testing.assert_allclose(scores, alone, atol=1e-6)


@pytest.mark.parametrize("sizes", [[0, 0, 0], [0]])
def test_no_entities(model, sizes: list[int]) -> None:
    scores, backprop = model.begin_update((numpy.zeros((0, P), "f"), sizes))
    assert [text.shape for text in scores] == [(0, 0, R)] * len(sizes)
    assert backprop(scores).shape == (0, P)


def test_direction_matters_to_the_head_only() -> None:
    g = random_entities([4]).float().numpy()
    symmetric, directed = DistMult(nI=P, nO=R), RelationHead(H, nI=P, nO=R)
    for layer, is_symmetric in ((symmetric, True), (directed, False)):
        layer.initialize()
        (scores,) = layer.predict((g, [4]))
        assert numpy.allclose(scores, scores.transpose(1, 0, 2), atol=1e-5) == is_symmetric


def test_the_input_width_is_found_from_the_data() -> None:
    model = RelationHead(H, nO=R)
    model.initialize(X=(numpy.zeros((2, 9), "f"), [2]))
    assert model.get_dim("nI") == 9
    assert model.predict((numpy.zeros((2, 9), "f"), [2]))[0].shape == (2, 2, R)


def test_an_unknown_activation() -> None:
    with pytest.raises(ValueError, match=r"\[D203\].*'softplus'.*relu, tanh"):
        RelationHead(activation="softplus")


@pytest.mark.parametrize(
    "sizes", [[], [0], [1], [2], [3], [0, 1], [2, 2, 2], [9, 1, 1, 9], [1, 5, 1, 2], [7, 0, 7]]
)
@pytest.mark.parametrize("size", [1, 9, 10, 20, 10_000])
def test_blocks_have_each_pair_once(sizes: list[int], size: int, monkeypatch) -> None:
    """First and second entity, and where the scores of both directions go."""
    monkeypatch.setattr("spacy_deeper.layers.pytorch.pairs.BLOCK", size)
    lengths = torch.tensor(sizes, dtype=torch.int64)
    texts = torch.repeat_interleave(torch.arange(len(sizes)), lengths).tolist()
    ordered = [(i, j) for i, a in enumerate(texts) for j, b in enumerate(texts) if a == b]
    found = []
    for block in blocks(lengths, torch.device("cpu")):
        assert len(block.rows) * block.rows.shape[1] * block.columns.shape[1] <= max(size, *sizes)
        for heads, tails, places in block.directions:
            pairs = list(zip(heads.tolist(), tails.tolist(), strict=True))
            assert [ordered[place] for place in places.tolist()] == pairs
            found += pairs
    assert sorted(found) == [(i, j) for i, j in ordered if i != j]


@pytest.mark.parametrize("sizes", [[9, 1, 1, 9], [1, 300, 1, 2], [400, 400], [2] * 5_000])
def test_cuts_bound_the_padding(sizes: list[int]) -> None:
    for texts, heads in cuts(sizes):
        found = sizes[texts]
        assert len(found) * (heads.stop - heads.start) * (max(found) - heads.start) <= BLOCK


@pytest.mark.parametrize("layer", [DistMult, RelationHead])
def test_blocks_do_not_matter(layer, monkeypatch) -> None:
    """Scores and gradients are the same in one block and in many."""
    sizes = [3, 0, 5, 1, 2]
    entities = numpy.random.default_rng(0).normal(size=(sum(sizes), 6)).astype("float32")
    model = layer(nI=6, nO=2)
    model.initialize()
    results = []
    for size in (1, 7, 10_000):
        monkeypatch.setattr("spacy_deeper.layers.pytorch.pairs.BLOCK", size)
        scores, backprop = model.begin_update((entities, sizes))
        results.append((scores, backprop([numpy.ones_like(score) for score in scores])))
    *others, (expected, expected_gradient) = results
    for scores, gradient in others:
        for one, other in zip(scores, expected, strict=True):
            numpy.testing.assert_allclose(one, other, atol=1e-6)
        numpy.testing.assert_allclose(gradient, expected_gradient, atol=1e-5)
