import numpy
import torch

from spacy_deeper.layers.scalar_mix import ScalarMix
from spacy_deeper.layers.torch_layer import shim_of


def test_scalar_mix_is_gamma_times_a_softmax_average() -> None:
    rng = numpy.random.default_rng(0)
    weights, gamma = rng.normal(size=3).astype("f"), 1.7
    texts = [rng.normal(size=(n, 3, 4)).astype("f") for n in (2, 0, 5)]
    model = ScalarMix()
    model.initialize(X=texts)
    assert (model.get_dim("nL"), model.get_dim("nO")) == (3, 4)
    module = shim_of(model).module
    with torch.no_grad():
        module.weights.copy_(torch.from_numpy(weights))
        module.gamma.fill_(gamma)
    share = numpy.exp(weights) / numpy.exp(weights).sum()
    for output, text in zip(model.predict(texts), texts, strict=True):
        expected = gamma * sum(share[layer] * text[:, layer] for layer in range(3))
        numpy.testing.assert_allclose(output, expected.reshape(-1, 4), rtol=1e-5, atol=1e-6)


def test_a_new_mix_is_the_mean_of_the_layers() -> None:
    text = numpy.random.default_rng(0).normal(size=(5, 3, 4)).astype("f")
    model = ScalarMix()
    model.initialize(X=[text])
    numpy.testing.assert_allclose(model.predict([text])[0], text.mean(axis=1), atol=1e-6)
