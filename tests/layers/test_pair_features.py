"""The relation head's features beyond the paper, against plain loops over pairs and tokens."""

import numpy
import pytest
import torch
from torch.autograd import gradcheck
from torch.nn.functional import cosine_similarity
from torch.utils._python_dispatch import TorchDispatchMode

from spacy_deeper.layers.pytorch.pair_features import DISTANCES
from spacy_deeper.layers.pytorch.pairs import BLOCK
from spacy_deeper.layers.pytorch.range_max import RangeMax
from spacy_deeper.layers.pytorch.relation_head import RelationHead as TorchRelationHead
from spacy_deeper.layers.relation_head import RelationHead
from spacy_deeper.layers.torch_layer import shim_of

P, H, R, W, TAGS = 5, 3, 2, 4, 5
SIZES = [3, 0, 1, 4]
# First token, last token, type: entities that touch, overlap, hold each other, end together.
SPANS = [(0, 1, 1), (2, 2, 2), (9, 9, 0), (12, 12, 1), (14, 20, 2), (15, 16, 2), (23, 24, 1)]
SPANS += [(99, 99, 0)]
MENTIONS = torch.tensor(SPANS)
N = 100
FEATURES = {
    "context": {"nH": W},
    "distance": {"distance": True},
    "types": {"nV": TAGS},
    "all": {"nH": W, "distance": True, "nV": TAGS},
    "none": {},
}
each_feature = pytest.mark.parametrize("features", FEATURES.values(), ids=FEATURES)
each_scorer = pytest.mark.parametrize("hidden", [0, 6])


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    entities = torch.randn(sum(SIZES), P, dtype=torch.float64)
    tokens = torch.randn(N, W, dtype=torch.float64)
    return entities, torch.tensor(SIZES), MENTIONS, tokens


def make_head(hidden: int, features: dict) -> TorchRelationHead:
    module = TorchRelationHead(P, R, H, "tanh", hidden, **features).double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module


@pytest.mark.parametrize("n", [1, 2, 3, 7, 16, 33])
def test_range_max(n: int) -> None:
    rows = torch.randn(n, 3, dtype=torch.float64, requires_grad=True)
    ranges = [(i, j) for i in range(n) for j in range(i + 1, n + 1)]
    starts, stops = torch.tensor(ranges).T
    expected = torch.stack([rows[i:j].max(dim=0).values for i, j in ranges])
    torch.testing.assert_close(RangeMax(rows)(starts, stops), expected, rtol=0, atol=0)
    growing = RangeMax(rows)
    order = torch.argsort(stops - starts)
    for at in order.split(3):
        torch.testing.assert_close(growing(starts[at], stops[at]), expected[at], rtol=0, atol=0)
    if n < 8:
        assert gradcheck(lambda x: RangeMax(x)(starts, stops), (rows,))


def test_the_gradient_of_a_maximum_is_one() -> None:
    """Also where both halves of a range hold it, and where several rows do."""
    rows = torch.zeros(5, 1, requires_grad=True)
    RangeMax(rows)(torch.tensor([0, 1]), torch.tensor([5, 4])).sum().backward()
    assert float(rows.grad.sum()) == pytest.approx(2.0)
    assert (rows.grad >= 0).all()


def test_no_ranges() -> None:
    empty = torch.zeros(0, dtype=torch.int64)
    assert RangeMax(torch.randn(3, 2))(empty, empty).shape == (0, 2)


def one_pair(
    head: TorchRelationHead, g: torch.Tensor, tokens: torch.Tensor, i: int, j: int
) -> torch.Tensor:
    """Equations 4 to 6 with the features, on concatenated vectors."""
    f_i, f_j = (torch.tanh(head.r1.weight @ g[k] + head.r1.bias) for k in (i, j))
    cosine = cosine_similarity(f_i, f_j, dim=0)[None]
    distmult = torch.stack([g[i] @ torch.diag(m) @ g[j] for m in head.distmult.diagonals])
    parts, weights = [torch.cat([f_i, f_j, cosine, distmult])], [head.r2.weight]
    (first_i, last_i, type_i), (first_j, last_j, type_j) = SPANS[i], SPANS[j]
    between = [t for t in range(N) if min(last_i, last_j) < t < max(first_i, first_j)]
    features = head.features
    if features is not None and features.context is not None:
        pooled = tokens[between].max(dim=0).values if between else features.no_context
        parts.append(pooled)
        weights.append(features.context.weight)
    if features is not None and features.distance is not None:
        bucket = sum(len(between) >= least for least in DISTANCES)
        one_hot = torch.zeros(len(features.distance), dtype=torch.float64)
        one_hot[bucket + (first_i > first_j) * (len(DISTANCES) + 1)] = 1
        parts.append(one_hot)
        weights.append(features.distance.T)
    if features is not None and features.types is not None:
        parts.append(torch.ones(1, dtype=torch.float64))
        weights.append(features.types[type_i, type_j][:, None])
    scores = torch.cat(weights, dim=1) @ torch.cat(parts) + head.r2.bias
    if head.r3 is not None:
        scores = head.r3.weight @ torch.tanh(scores) + head.r3.bias
    return scores


@each_feature
@each_scorer
@pytest.mark.parametrize("block", [1, 4, BLOCK])
def test_pair_by_pair(block: int, hidden: int, features: dict, monkeypatch) -> None:
    monkeypatch.setattr("spacy_deeper.layers.pytorch.pairs.BLOCK", block)
    module = make_head(hidden, features)
    g, sizes, mentions, tokens = inputs()
    scores = module(g, sizes, mentions, tokens).split([size**2 for size in SIZES])
    start = 0
    for size, of_text in zip(SIZES, scores, strict=True):
        for place, score in enumerate(of_text):
            i, j = start + place // size, start + place % size
            expected = torch.zeros(R) if i == j else one_pair(module, g, tokens, i, j)
            torch.testing.assert_close(score, expected.double())
        start += size


class Shapes(TorchDispatchMode):
    """Notes the shape of all that is made while it is on."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[torch.Size] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        made = result if isinstance(result, tuple | list) else [result]
        self.found |= {tensor.shape for tensor in made if isinstance(tensor, torch.Tensor)}
        return result


@pytest.mark.skipif(not hasattr(torch, "compile"), reason="torch 1 has other modes")
@each_scorer
def test_beside_the_scores_memory_is_that_of_a_block(hidden: int, monkeypatch) -> None:
    block, m = 128, 100
    monkeypatch.setattr("spacy_deeper.layers.pytorch.pairs.BLOCK", block)
    module = TorchRelationHead(P, R, H, "tanh", hidden, **FEATURES["all"])
    first = torch.arange(m)
    mentions = torch.stack([first, first, first % 3], dim=1)
    with torch.no_grad(), Shapes() as shapes:
        module(torch.randn(m, P), torch.tensor([m]), mentions, torch.randn(m, W))
    shapes.found.remove(torch.Size([m**2, R]))
    levels = m.bit_length()  # of the sparse table over the tokens
    assert max(map(torch.Size.numel, shapes.found)) <= max(block * max(W, hidden), m * levels * W)


@each_scorer
def test_gradients(hidden: int) -> None:
    module = make_head(hidden, FEATURES["all"])
    g, sizes, mentions, tokens = inputs()
    g, tokens = g.requires_grad_(), tokens[:26].requires_grad_()
    mentions = mentions.clamp(max=25)
    assert gradcheck(
        lambda g, tokens, *changed: module(g, sizes, mentions, tokens),
        (g, tokens, *module.parameters()),
    )


@each_feature
@each_scorer
def test_a_text_does_not_depend_on_its_neighbours(hidden: int, features: dict) -> None:
    module = make_head(hidden, features)
    g, sizes, mentions, tokens = inputs()
    together = module(g, sizes, mentions, tokens).split([size**2 for size in SIZES])
    parts = zip(together, g.split(SIZES), mentions.split(SIZES), strict=True)
    for scores, own, own_mentions in parts:
        alone = module(own, torch.tensor([len(own)]), own_mentions, tokens)
        torch.testing.assert_close(alone, scores)


def make_layer(**settings) -> RelationHead:
    options = {"context": "between", "distance": True, "type_pairs": True, "scorer_hidden": 6}
    return RelationHead(H, "tanh", **{**options, **settings})


def layer_inputs(sizes: list[int]) -> tuple:
    count = sum(sizes)
    rng = numpy.random.default_rng(0)
    g, tokens = rng.normal(size=(count, P)).astype("f"), rng.normal(size=(N, W)).astype("f")
    return g, sizes, numpy.array(SPANS[:count], dtype="int64").reshape(-1, 3), tokens


def initialized(**settings) -> RelationHead:
    model = make_layer(nI=P, nO=R, **settings)
    for name, size in (("nH", W), ("nV", TAGS)):
        if name in model.dim_names:
            model.set_dim(name, size)
    model.initialize()
    for parameter in shim_of(model).module.parameters():
        torch.nn.init.normal_(parameter)
    return model


@pytest.mark.parametrize("sizes", [SIZES, [1], [0, 0], [2]])
def test_the_layer(sizes: list[int]) -> None:
    model = initialized()
    X = layer_inputs(sizes)
    scores, backprop = model.begin_update(X)
    assert [text.shape for text in scores] == [(m, m, R) for m in sizes]
    d_entities, d_tokens = backprop([numpy.ones_like(text) for text in scores])
    assert d_entities.shape == X[0].shape
    assert d_tokens is None or d_tokens.shape == (N, W)
    if sizes == SIZES:
        read = numpy.abs(d_tokens).max(axis=1) > 0
        assert read[3:9].any()
        assert not read[:2].any()
        assert not read[10:13].any()


def test_bytes_and_new_labels() -> None:
    model = initialized()
    X = layer_inputs(SIZES)
    before = model.predict(X)
    other = make_layer().from_bytes(model.to_bytes())
    for one, two in zip(before, other.predict(X), strict=True):
        numpy.testing.assert_array_equal(one, two)
    types = shim_of(other).module.features.types.detach().clone()
    for dim, size in (("nO", R + 2), ("nV", TAGS + 2)):
        other.set_dim(dim, size, force=True)
        shim_of(other).resize(**{dim: size})
    grown = shim_of(other).module.features.types
    assert grown.shape == (4, 4, 6)
    torch.testing.assert_close(grown[:3, :3], types)
    assert [text.shape for text in other.predict(X)] == [(m, m, R + 2) for m in SIZES]


def test_the_default_is_the_paper() -> None:
    model = RelationHead(H, "tanh", nI=P, nO=R)
    model.initialize()
    assert set(model.dim_names) == {"nI", "nO"}
    assert shim_of(model).cfg == {"nI": P, "nO": R}
    parts = {name.split(".")[0] for name, _ in shim_of(model).module.named_parameters()}
    assert parts == {"distmult", "r1", "r2"}


@pytest.mark.parametrize("setting", [{"context": "around"}, {"scorer_hidden": -1}])
def test_unknown_settings(setting: dict) -> None:
    with pytest.raises(ValueError, match=r"\[D203\].*between|\[D216\].*scorer_hidden"):
        RelationHead(**setting)


def test_dropout_reaches_the_context_and_the_hidden_layer() -> None:
    for settings in ({"scorer_hidden": 0}, {"context": None}):
        model = initialized(dropout=0.5, **settings)
        X = layer_inputs(SIZES)
        X = (numpy.zeros_like(X[0]), *X[1:])  # what is dropped of entities makes no difference
        one, two = (model.begin_update(X)[0][3] for _ in range(2))
        assert numpy.abs(one - two).max() > 1e-4
        one, two = (model.predict(X)[3] for _ in range(2))
        numpy.testing.assert_array_equal(one, two)
