import numpy
import pytest
from scipy.special import erf

from spacy_deeper.layers.torch_layer import shim_of
from spacy_deeper.layers.two_layer_scorer import TwoLayerScorer

ACTIVATIONS = {
    "relu": lambda x: numpy.maximum(x, 0),
    "tanh": numpy.tanh,
    "gelu": lambda x: x * 0.5 * (1 + erf(x / numpy.sqrt(2))),
    "sigmoid": lambda x: 1 / (1 + numpy.exp(-x)),
    "linear": lambda x: x,
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_equation_2(activation: str) -> None:
    rng = numpy.random.default_rng(0)
    texts = [rng.normal(size=(n, 5)).astype("f") for n in (2, 0, 4)]
    model = TwoLayerScorer(hidden_size=6, activation=activation, nO=3)
    model.initialize(X=texts)
    weights = {name: w.numpy() for name, w in shim_of(model).module.state_dict().items()}
    for output, text in zip(model.predict(texts), texts, strict=True):
        hidden = ACTIVATIONS[activation](text @ weights["e1.weight"].T + weights["e1.bias"])
        expected = hidden @ weights["e2.weight"].T + weights["e2.bias"]
        assert output.shape == (len(text), 3)
        numpy.testing.assert_allclose(output, expected, atol=1e-5)


def test_an_unknown_activation() -> None:
    with pytest.raises(ValueError, match=r"^\[D203\].*'softplus'"):
        TwoLayerScorer(activation="softplus")
