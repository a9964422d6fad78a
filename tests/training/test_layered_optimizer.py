import numpy
import pytest
import spacy
import torch
from spacy.util import registry
from thinc.api import SGD, Adam, Config, Linear, PyTorchWrapper, chain

from spacy_deeper.training.layered_optimizer import (
    Layered,
    LayeredOptimizer,
    global_norm,
    name_parameters,
)

NAMES = ["front", "middle", "back"]


def encoder() -> torch.nn.Module:
    """Embeddings, three numbered layers and a head, all of one weight, named as BERT's."""
    layers = torch.nn.ModuleList(torch.nn.Linear(1, 1, bias=False) for _ in range(3))
    return torch.nn.ModuleDict(
        {
            "embeddings": torch.nn.Linear(1, 1, bias=False),
            "encoder": torch.nn.ModuleDict({"layer": layers}),
            "pooler": torch.nn.Linear(1, 1, bias=False),
        }
    )


@pytest.fixture
def nlp() -> spacy.Language:
    """Three components: two of thinc's parameters, and one of torch's beside thinc's."""
    nlp = spacy.blank("en")
    models = [Linear(2, 2), chain(Linear(2, 2), PyTorchWrapper(encoder())), Linear(2, 2)]
    for name, model in zip(NAMES, models, strict=True):
        nlp.add_pipe("tok2vec", name=name).model = model
        model.layers[0].initialize() if model.layers else model.initialize()
    return nlp


def sgd(learn_rate, **settings):
    return SGD(learn_rate, grad_clip=0.0, use_averages=False, **settings)


def weights(nlp: spacy.Language) -> dict[str, numpy.ndarray]:
    """Return copies of all weights by their component and name."""
    found = {}
    for name in NAMES:
        for node in nlp.get_pipe(name).model.walk():
            for shim in node.shims:
                for key, value in shim._model.named_parameters():
                    found[name, key] = value.detach().numpy().copy()
            for key in node.param_names:
                found[name, key] = node.get_param(key).copy()
    return found


def update(nlp: spacy.Language, optimizer, gradient: float = 1.0, named: bool = True) -> dict:
    """Take one step with the same gradient everywhere, and return by how much weights fell."""
    before = weights(nlp)
    for name in NAMES:
        for node in nlp.get_pipe(name).model.walk():
            for shim in node.shims:
                for value in shim._model.parameters():
                    value.grad = torch.full_like(value, gradient)
            for key in node.param_names:
                node.set_grad(key, numpy.full_like(node.get_param(key), gradient))
    if named:
        name_parameters(nlp)
    for name in NAMES:
        nlp.get_pipe(name).finish_update(optimizer)
    optimizer.step_schedules()
    after = weights(nlp)
    return {key: float((before[key] - after[key]).mean()) for key in before}


def test_components_have_rates_of_their_own(nlp) -> None:
    optimizer = Layered(sgd(0.1), {"middle": sgd(0.01), "back": sgd(0.0)})
    rates = {"front": 0.1, "middle": 0.01, "back": 0.0}
    for _ in range(2):
        for (name, _), change in update(nlp, optimizer).items():
            assert change == pytest.approx(rates[name], rel=1e-4)


def test_schedules(nlp) -> None:
    optimizer = Layered(sgd([0.1, 0.2, 0.3]), {"middle": sgd(iter([0.01, 0.0]))})
    for default, middle in [(0.1, 0.01), (0.2, 0.0), (0.3, 0.0), (0.3, 0.0)]:
        assert optimizer.learn_rate == default
        change = update(nlp, optimizer)
        assert change["front", "W"] == pytest.approx(default, rel=1e-4)
        assert change["middle", "pooler.weight"] == pytest.approx(middle, rel=1e-3)


def test_decay_is_that_of_the_component(nlp) -> None:
    """Decoupled: it is no part of the gradient, and in proportion to the rate."""
    optimizer = Layered(sgd(0.1), {"middle": sgd(0.1, L2=0.5, L2_is_weight_decay=True)})
    before = weights(nlp)
    update(nlp, optimizer, gradient=0.0)
    for (name, key), after in weights(nlp).items():
        expected = before[name, key] * (0.95 if name == "middle" else 1.0)
        numpy.testing.assert_allclose(after, expected, rtol=1e-5)


def test_it_is_as_each_optimizer_alone(nlp) -> None:
    """Moments and counts of steps are those of the component's own optimizer."""
    alone = spacy.blank("en")
    for name in NAMES:
        model = nlp.get_pipe(name).model.copy()
        alone.add_pipe("tok2vec", name=name).model = model
    for key, value in weights(nlp).items():
        numpy.testing.assert_array_equal(value, weights(alone)[key])
    settings = {"grad_clip": 0.5, "use_averages": False}
    optimizer = Layered(Adam(0.1, **settings), {"middle": Adam(0.01, **settings)})
    own = {name: Adam(0.01 if name == "middle" else 0.1, **settings) for name in NAMES}
    for step in range(3):
        update(nlp, optimizer, gradient=float(step + 1))
        for name in NAMES:
            for node in alone.get_pipe(name).model.walk():
                for shim in node.shims:
                    for value in shim._model.parameters():
                        value.grad = torch.full_like(value, step + 1)
                for key in node.param_names:
                    node.set_grad(key, numpy.full_like(node.get_param(key), step + 1))
            alone.get_pipe(name).finish_update(own[name])
    for key, value in weights(nlp).items():
        numpy.testing.assert_array_equal(value, weights(alone)[key])


def test_rates_fall_from_layer_to_layer(nlp) -> None:
    change = update(nlp, Layered(sgd(0.1), layer_decay={"middle": 0.5}))
    found = {key: change["middle", key] / 0.1 for component, key in change if component == "middle"}
    assert found == pytest.approx(
        {
            "embeddings.weight": 0.125,
            "encoder.layer.0.weight": 0.25,
            "encoder.layer.1.weight": 0.5,
            "encoder.layer.2.weight": 1.0,
            "pooler.weight": 1.0,
            "W": 1.0,
            "b": 1.0,
        },
        rel=1e-3,
    )
    assert change["front", "W"] == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize(("limit", "factor"), [(0.0, 1.0), (1.0, 1 / 23**0.5), (5.0, 1.0)])
def test_one_norm_for_all_gradients(nlp, limit: float, factor: float) -> None:
    """There are 23 parameters in three components, so a gradient of ones has the norm √23."""
    optimizer = Layered(sgd(0.1), {"middle": sgd(0.2)}, grad_norm=limit)
    for _ in range(2):
        change = update(nlp, optimizer)
        assert change["front", "W"] == pytest.approx(0.1 * factor, rel=1e-3)
        assert change["middle", "pooler.weight"] == pytest.approx(0.2 * factor, rel=1e-3)
        assert change["back", "b"] == pytest.approx(0.1 * factor, rel=1e-3)
    change = update(nlp, optimizer, gradient=1e-3)
    assert change["front", "W"] == pytest.approx(1e-4, rel=1e-2)
    assert global_norm(pipe.model for _, pipe in nlp.pipeline) == 0.0


def test_a_component_the_pipeline_does_not_have(nlp) -> None:
    for settings in ({"components": {"trf": sgd(0.1)}}, {"layer_decay": {"trf": 0.9}}):
        with pytest.raises(ValueError, match=r"^\[D264\].*'trf'.*front, middle, back"):
            update(nlp, Layered(sgd(0.1), **settings))


def test_it_is_made_after_the_parameters_were_named(nlp) -> None:
    """As spaCy does, and others may have been named since."""
    name_parameters(nlp)
    name_parameters(spacy.blank("en"))
    optimizer = Layered(sgd(0.1), {"middle": sgd(0.2)}, grad_norm=1.0)
    for gradient, factor in ((1.0, 23**-0.5), (2.0, 23**-0.5 / 2), (0.01, 1.0)):
        change = update(nlp, optimizer, gradient, named=False)
        assert change["front", "W"] == pytest.approx(0.1 * gradient * factor, rel=1e-2)
        assert change["middle", "pooler.weight"] == pytest.approx(0.2 * gradient * factor, rel=1e-2)


def test_a_loop_that_does_not_say_that_a_step_begins(nlp) -> None:
    """As one with nlp.update(examples, sgd=optimizer)."""
    name_parameters(nlp)
    optimizer = Layered(sgd(0.1), grad_norm=1.0)
    optimizer.step_schedules = lambda: None
    for gradient, change in ((1000.0, 0.1 * 23**-0.5), (0.01, 0.001), (1.0, 0.1 * 23**-0.5)):
        changes = update(nlp, optimizer, gradient, named=False)
        assert list(changes.values()) == pytest.approx([change] * len(changes), rel=1e-2)


def test_without_the_callback(nlp) -> None:
    optimizer = Layered(sgd(0.1))
    model = nlp.get_pipe("front").model
    model.set_grad("b", numpy.ones(2, "f"))
    with pytest.raises(ValueError, match=r"^\[D265\].*name_parameters.v1"):
        model.finish_update(optimizer)


def test_a_component_without_layers(nlp) -> None:
    with pytest.raises(ValueError, match=r"^\[D266\].*'back'"):
        update(nlp, Layered(sgd(0.1), layer_decay={"back": 0.9}))


def test_wrong_settings() -> None:
    with pytest.raises(ValueError, match=r"^\[D218\] grad_norm"):
        Layered(sgd(0.1), grad_norm=-1.0)
    with pytest.raises(ValueError, match=r"^\[D208\] layer_decay.x"):
        Layered(sgd(0.1), layer_decay={"x": 1.5})
    with pytest.raises(ValueError, match=r"^\[D267\].*components.x\]"):
        Layered(sgd(0.1), {"x": {"learn_rate": 0.1}})


def test_from_a_config() -> None:
    config = Config().from_str("""
    [training]
    [training.optimizer]
    @optimizers = "spacy_deeper.Layered.v1"
    grad_norm = 1.0

    [training.optimizer.layer_decay]
    transformer = 0.9

    [training.optimizer.default]
    @optimizers = "spacy_deeper.NAdam.v1"
    learn_rate = 0.1

    [training.optimizer.components]

    [training.optimizer.components.transformer]
    @optimizers = "Adam.v1"

    [training.optimizer.components.transformer.learn_rate]
    @schedules = "warmup_linear.v1"
    warmup_steps = 2
    total_steps = 10
    initial_rate = 0.2

    [initialize]

    [initialize.after_init]
    @callbacks = "spacy_deeper.name_parameters.v1"
    """)
    resolved = registry.resolve(config)
    assert resolved["initialize"]["after_init"] is name_parameters
    training = resolved["training"]
    optimizer = training["optimizer"]
    assert isinstance(optimizer, LayeredOptimizer)
    assert optimizer.averages is None
    part = optimizer.components["transformer"]
    rates = []
    for _ in range(3):
        rates.append(part.learn_rate)
        optimizer.step_schedules()
    assert rates == pytest.approx([0.0, 0.1, 0.2])
    assert optimizer.layer_decay == {"transformer": 0.9}
