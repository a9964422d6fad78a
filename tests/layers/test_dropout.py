import numpy
import pytest
import torch
from thinc.api import set_dropout_rate

from spacy_deeper.layers.birnn import BiRNN
from spacy_deeper.layers.distmult import DistMult
from spacy_deeper.layers.relation_head import RelationHead
from spacy_deeper.layers.torch_layer import shim_of
from spacy_deeper.layers.two_layer_scorer import TwoLayerScorer

RATE = 0.3
ROWS = numpy.ones((400, 20), "f")


class Case:
    """A layer with dropout: how to make it and call it, and the modules that read the dropped."""

    def __init__(self, make, X, readers) -> None:
        self.make, self.X, self.readers = make, X, readers

    def model(self, rate: float | None):
        model = self.make(rate)
        model.initialize()
        return model


def read(case: Case, model, X=None) -> list[torch.Tensor]:
    """Run in training; return what the modules behind the dropout were given."""
    given = []
    hooks = [
        module.register_forward_pre_hook(lambda _, args: given.append(args[0]))
        for module in case.readers(shim_of(model).module)
    ]
    model.begin_update(case.X if X is None else X)
    for hook in hooks:
        hook.remove()
    return [getattr(tensor, "data", tensor).detach() for tensor in given]


BIRNN = Case(
    lambda rate: BiRNN(20, 2, dropout=rate, nI=20),
    [ROWS[:150], ROWS[:0], ROWS[150:]],
    lambda module: module.layers,
)
HEAD = Case(
    lambda rate: RelationHead(8, dropout=rate, nI=20, nO=2),
    (ROWS, [4] * 100),
    lambda module: [module.r1],
)
DISTMULT = Case(
    lambda rate: DistMult(dropout=rate, nI=20, nO=2), (ROWS, [4] * 100), lambda module: []
)

SCORER = Case(
    lambda rate: TwoLayerScorer(50, "sigmoid", dropout=rate, nI=20, nO=2),
    [ROWS[:150], ROWS[:0], ROWS[150:]],
    lambda module: [module.e1, module.e2],
)

each_case = pytest.mark.parametrize(
    "case", [BIRNN, HEAD, DISTMULT, SCORER], ids=["birnn", "head", "dm", "scorer"]
)


def differs(case: Case, model) -> bool:
    """Whether two passes in training differ, or a training pass from prediction."""
    outputs = [
        numpy.concatenate([y.ravel() for y in model(case.X, train)[0]]) for train in (1, 1, 0)
    ]
    noisy = not numpy.array_equal(outputs[0], outputs[1])
    assert noisy == (not numpy.allclose(outputs[1], outputs[2], atol=1e-6))
    return noisy


@each_case
def test_without_a_rate_of_its_own_a_layer_obeys(case: Case) -> None:
    model = case.model(None)
    assert not differs(case, model)
    set_dropout_rate(model, RATE)
    assert differs(case, model)
    set_dropout_rate(model, 0.0)
    assert not differs(case, model)


@each_case
@pytest.mark.parametrize("own", [0.0, RATE])
def test_a_layer_keeps_its_own_rate(case: Case, own: float) -> None:
    model = case.model(own)
    for rate in (0.0, 0.9):
        set_dropout_rate(model, rate)
        assert differs(case, model) == (own > 0)
    for given in read(case, model):
        assert float((given == 0).float().mean()) == pytest.approx(own, abs=0.03)


@each_case
def test_prediction_is_without_dropout(case: Case) -> None:
    model, still = case.model(RATE), case.model(0.0)
    shim_of(still).module.load_state_dict(shim_of(model).module.state_dict())
    for _ in range(2):
        for one, other in zip(model.predict(case.X), still.predict(case.X), strict=True):
            numpy.testing.assert_array_equal(one, other)
    assert not shim_of(model).module.training  # another thread may be in it


@pytest.mark.parametrize("case", [BIRNN, HEAD, SCORER], ids=["birnn", "head", "scorer"])
def test_inputs_are_zeroed_and_their_mean_kept(case: Case) -> None:
    model = case.model(RATE)
    first = read(case, model)[0]
    kept = first[first != 0]
    assert first.numel() == ROWS.size
    assert len(kept) / first.numel() == pytest.approx(1 - RATE, abs=0.03)
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - RATE)))
    assert float(first.mean()) == pytest.approx(1.0, abs=0.05)


def test_dropout_comes_before_each_birnn_layer() -> None:
    given = read(BIRNN, BIRNN.model(RATE))
    assert len(given) == 2
    for tensor in given:
        assert float((tensor == 0).float().mean()) == pytest.approx(RATE, abs=0.03)
    # and not after the last one
    outputs, _ = BIRNN.model(RATE).begin_update(BIRNN.X)
    assert (numpy.concatenate(outputs) != 0).all()


def test_distmult_drops_entities() -> None:
    model = DISTMULT.model(RATE)
    torch.nn.init.ones_(shim_of(model).module.diagonals)
    scores = numpy.array(model.begin_update(DISTMULT.X)[0])
    kept = scores * (1 - RATE) ** 2  # dimensions that both entities of a pair keep
    numpy.testing.assert_allclose(kept, kept.round(), atol=1e-4)
    others = kept[:, ~numpy.eye(4, dtype=bool)]
    assert others.mean() / 20 == pytest.approx((1 - RATE) ** 2, abs=0.03)
