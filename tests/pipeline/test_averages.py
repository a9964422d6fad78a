"""`use_averages`: what is evaluated and saved are moving averages of the weights."""

import numpy
import pytest
import spacy
from thinc.api import Adam

from .joint import same, start, state, step, torch_modules


def test_averages_are_evaluated_and_saved(docs, tmp_path) -> None:
    """Of all torch parameters, by Thinc's own formula; and after that all is as it was."""
    nlp, examples = start(docs)
    sgd = Adam(0.01, use_averages=True)
    expected = None
    for t in range(1, 5):
        step(nlp, examples[:5], sgd)
        values = {name: state(pipe.model) for name, pipe in nlp.pipeline}
        decay = (1 + t) / (10 + t)
        expected = {
            pipe: {
                key: (1 - decay) * value + (decay * expected[pipe][key] if expected else 0)
                for key, value in of_pipe.items()
            }
            for pipe, of_pipe in values.items()
        }
    doc = nlp(docs[0].text)
    addresses = [p.data_ptr() for _, pipe in nlp.pipeline for p in parameters(pipe.model)]
    with nlp.use_params(sgd.averages):
        for name, pipe in nlp.pipeline:
            for key, value in state(pipe.model).items():
                numpy.testing.assert_allclose(value, expected[name][key], atol=1e-6)
        averaged = nlp(docs[0].text)
        nlp.to_disk(tmp_path)
    for name, pipe in nlp.pipeline:
        for key, value in state(pipe.model).items():
            numpy.testing.assert_array_equal(value, values[name][key])
    assert addresses == [p.data_ptr() for _, pipe in nlp.pipeline for p in parameters(pipe.model)]
    same(nlp(docs[0].text), doc)
    same(spacy.load(tmp_path)(docs[0].text), averaged)
    step(nlp, examples[:5], sgd)


def parameters(model):
    return [p for module in torch_modules(model) for p in module.parameters()]


def test_averages_leave_with_an_error(docs) -> None:
    nlp, examples = start(docs)
    sgd = Adam(0.01, use_averages=True)
    step(nlp, examples[:5], sgd)
    model = nlp.get_pipe("crf_ner").model
    before = state(model)
    with pytest.raises(KeyError), model.use_params(sgd.averages):
        state(model)["no such parameter"]
    for key, value in state(model).items():
        numpy.testing.assert_array_equal(value, before[key])
