import itertools

import pytest

from .joint import fit, relations_of, start, step, torch_modules


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("shared", [1, 2, 3])
def test_all_depths(docs, cell, shared):
    """Build, train and predict with every depth of sharing."""
    every = [*itertools.product(range(4), range(4))]
    for ner, re in every if cell == "gru" else [(0, 0), (1, 2), (3, 0), (0, 3), (3, 3)]:
        nlp, examples = start(docs[:1], cell=cell, shared=shared, ner=ner, re=re, width=8)
        losses = step(nlp, examples)
        assert all(losses[name] > 0 for name in nlp.pipe_names)
        assert depths(nlp) == {"tok2vec": shared, "crf_ner": ner, "relation_scorer": re}
        assert isinstance(nlp(docs[0].text)._.relations, list)


def depths(nlp):
    """Count the layers of RNNs over words."""
    return {
        name: sum(len(m.layers) for m in torch_modules(pipe.model) if hasattr(m, "layers"))
        for name, pipe in nlp.pipeline
    }


def test_no_layers_of_their_own(docs):
    """With all layers shared, both tasks are learned still."""
    nlp, examples = start(docs[:6], ner=0, re=0)
    fit(nlp, examples, 80)
    scores = nlp.evaluate(examples)
    assert scores["ents_micro_f"] == scores["rel_micro_f"] == 1.0
    assert any(relations_of(doc) for doc in docs[:6])
