from collections.abc import Iterable, Iterator

import numpy
import pytest
import torch
from spacy.util import registry
from thinc.api import Config, warmup_linear

from spacy_deeper.layers.torch_layer import shim_of
from spacy_deeper.layers.two_layer_scorer import TwoLayerScorer
from spacy_deeper.training.optimizers import NAdam

SHAPES = [(1,), (7,), (3, 4), (2, 3, 4)]
STEPS = 50


def gradients(shape: tuple[int, ...]) -> Iterator[numpy.ndarray]:
    rng = numpy.random.default_rng(1)
    for _ in range(STEPS):
        yield rng.normal(scale=rng.uniform(0.01, 3), size=shape).astype("f")


def start(shape: tuple[int, ...]) -> numpy.ndarray:
    return numpy.random.default_rng(0).normal(size=shape).astype("f")


def ours(shape: tuple[int, ...], optimizer, of: Iterable[numpy.ndarray]) -> numpy.ndarray:
    weights = start(shape)
    for gradient in of:
        weights, gradient = optimizer((1, "W"), weights, gradient.copy())
        assert not gradient.any()
        optimizer.step_schedules()
    return weights


def torch_nadam(*args, **settings) -> torch.optim.NAdam:
    if torch.__version__.startswith("1."):
        pytest.skip("the NAdam of torch 1 multiplies by one momentum twice")
    return torch.optim.NAdam(*args, **settings)


def theirs(
    shape: tuple[int, ...],
    of: Iterable[numpy.ndarray],
    rates: Iterable[float] | None = None,
    decay: float = 0.0,
    **settings,
) -> numpy.ndarray:
    """torch.optim.NAdam; `decay` shrinks the weights after each step."""
    weights = torch.from_numpy(start(shape))
    optimizer = torch_nadam([weights], **settings)
    rates = iter(rates or [])
    for gradient in of:
        group = optimizer.param_groups[0]
        group["lr"] = next(rates, group["lr"])
        weights.grad = torch.from_numpy(gradient)
        optimizer.step()
        weights -= group["lr"] * decay * weights
    return weights.numpy()


def close(one: numpy.ndarray, other: numpy.ndarray) -> None:
    assert one.dtype == "float32"
    numpy.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_defaults_are_those_of_torch(shape: tuple[int, ...]) -> None:
    close(ours(shape, NAdam(), gradients(shape)), theirs(shape, gradients(shape)))


@pytest.mark.parametrize(
    ("settings", "torchs"),
    [
        ({"learn_rate": 0.05}, {"lr": 0.05}),
        ({"beta1": 0.5, "beta2": 0.9}, {"betas": (0.5, 0.9)}),
        ({"eps": 0.1}, {"eps": 0.1}),
        ({"momentum_decay": 0.1}, {"momentum_decay": 0.1}),
        ({"L2": 0.1}, {"weight_decay": 0.1}),
        ({"L2": 0.1, "L2_is_weight_decay": True, "learn_rate": 0.01}, {"decay": 0.1, "lr": 0.01}),
    ],
    ids=lambda settings: "-".join(settings),
)
@pytest.mark.parametrize("shape", [(7,), (3, 4)])
def test_settings_mean_what_they_mean_in_torch(shape, settings: dict, torchs: dict) -> None:
    result = ours(shape, NAdam(**settings), gradients(shape))
    close(result, theirs(shape, gradients(shape), **torchs))
    assert numpy.abs(result - theirs(shape, gradients(shape))).max() > 1e-4


def test_a_learning_rate_schedule() -> None:
    shape = (3, 4)
    rates = [0.01 * 0.95**step for step in range(STEPS)]
    expected = theirs(shape, gradients(shape), rates)
    close(ours(shape, NAdam(iter(rates)), gradients(shape)), expected)
    close(ours(shape, NAdam(rates), gradients(shape)), expected)


def test_a_scaled_learning_rate() -> None:
    optimizer, weights = NAdam(0.02), start((7,))
    for gradient in gradients((7,)):
        weights, _ = optimizer((1, "W"), weights, gradient, lr_scale=0.5)
    close(weights, theirs((7,), gradients((7,)), lr=0.01))


def test_each_parameter_counts_its_own_steps() -> None:
    optimizer = NAdam()
    weights = {shape: start(shape) for shape in SHAPES}
    for step, rows in enumerate(zip(*map(gradients, SHAPES), strict=True)):
        for i, (shape, gradient) in enumerate(zip(SHAPES, rows, strict=True)):
            if step % (i + 1) == 0:
                weights[shape], _ = optimizer((i, "W"), weights[shape], gradient)
    for i, shape in enumerate(SHAPES):
        every = [g for step, g in enumerate(gradients(shape)) if step % (i + 1) == 0]
        close(weights[shape], theirs(shape, every))


@pytest.mark.parametrize("clip", [0.0, 0.5, 1e9])
def test_gradients_are_clipped_by_norm(clip: float) -> None:
    shape = (3, 4)
    clipped = []
    for gradient in gradients(shape):
        norm = numpy.sqrt((gradient**2).sum())
        clipped.append(gradient * (clip / norm if clip and norm > clip else 1.0))
    result = ours(shape, NAdam(grad_clip=clip), gradients(shape))
    close(result, theirs(shape, clipped))
    changed = numpy.abs(result - theirs(shape, gradients(shape))).max()
    assert (changed > 1e-3) == (clip == 0.5)


def test_training_a_layer_is_training_its_module() -> None:
    texts = [numpy.random.default_rng(0).normal(size=(5, 3)).astype("f")]
    model, twin = (TwoLayerScorer(4, "tanh", nI=3, nO=2) for _ in range(2))
    model.initialize()
    twin.from_bytes(model.to_bytes())
    module = shim_of(twin).module
    optimizer, torchs = NAdam(0.01), torch_nadam(module.parameters(), lr=0.01)
    for _ in range(10):
        outputs, backprop = model.begin_update(texts)
        backprop([2 * output for output in outputs])
        model.finish_update(optimizer)
        torchs.zero_grad()
        (module(torch.from_numpy(texts[0])) ** 2).sum().backward()
        torchs.step()
    close(model.predict(texts)[0], twin.predict(texts)[0])


def test_from_a_config() -> None:
    config = Config().from_str("""
    [optimizer]
    @optimizers = "spacy_deeper.NAdam.v1"
    L2 = 0.01
    grad_clip = 1.0

    [optimizer.learn_rate]
    @schedules = "warmup_linear.v1"
    warmup_steps = 2
    total_steps = 10
    initial_rate = 0.1
    """)
    optimizer = registry.resolve(config)["optimizer"]
    assert type(optimizer) is type(NAdam())
    assert (optimizer.L2, optimizer.grad_clip, optimizer.averages) == (0.01, 1.0, None)
    expected = warmup_linear(0.1, 2, 10)
    for _ in range(8):
        assert optimizer.learn_rate == pytest.approx(next(expected))
        optimizer.step_schedules()
