"""A joint pipeline that is tiny and learns twenty sentences by heart."""

from pathlib import Path

import numpy
import pytest
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import fix_random_seed, load_model_from_config
from thinc.api import Adam, Config

SAMPLE = Path(__file__).parents[2] / "assets" / "sample" / "train.txt"

JOINT = """
[vars]
cell = "gru"
shared = 1
ner = 1
re = 1
width = 32
dropout = null
threshold = 0.5
loss_weight = 1.0
loss_reduction = "mean"
tags = null

[nlp]
lang = "en"
pipeline = ["tok2vec","crf_ner","relation_scorer"]

[components]

[components.tok2vec]
factory = "tok2vec"

[components.tok2vec.model]
@architectures = "spacy.Tok2Vec.v2"

[components.tok2vec.model.embed]
@architectures = "spacy_deeper.JointEmbed.v1"

[components.tok2vec.model.embed.char]
@layers = "spacy_deeper.CharBiRNN.v1"
width = 16
embed_size = 8
rows = 128
cell = ${vars.cell}

[components.tok2vec.model.embed.casing]
@layers = "spacy_deeper.Casing.v1"

[components.tok2vec.model.encode]
@layers = "spacy_deeper.BiRNN.v1"
width = ${vars.width}
depth = ${vars.shared}
cell = ${vars.cell}

[components.crf_ner]
factory = "crf_ner"
loss_reduction = ${vars.loss_reduction}

[components.crf_ner.model]
@architectures = "spacy_deeper.CRFTagger.v1"
hidden_size = 16
nO = ${vars.tags}

[components.crf_ner.model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = ${vars.width}

[components.crf_ner.model.encode]
@layers = "spacy_deeper.BiRNN.v1"
width = ${vars.width}
depth = ${vars.ner}
cell = ${vars.cell}

[components.relation_scorer]
factory = "relation_scorer"
threshold = ${vars.threshold}
loss_weight = ${vars.loss_weight}
loss_reduction = ${vars.loss_reduction}

[components.relation_scorer.model]
@architectures = "spacy_deeper.RelationModel.v1"
label_embedding = 8

[components.relation_scorer.model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = ${vars.width}

[components.relation_scorer.model.encode]
@layers = "spacy_deeper.BiRNN.v1"
width = ${vars.width}
depth = ${vars.re}
cell = ${vars.cell}

[components.relation_scorer.model.head]
@layers = "spacy_deeper.RelationHead.v1"
hidden_size = 32
dropout = ${vars.dropout}
"""


def build(pipeline=("tok2vec", "crf_ner", "relation_scorer"), seed=0, overrides=None, **settings):
    """Build the pipeline, not initialized; the settings are those of [vars].

    overrides: More settings, by section.
    """
    more = {} if overrides is None else overrides
    overrides = {"nlp.pipeline": list(pipeline)}
    overrides |= {f"vars.{name}": value for name, value in settings.items()}
    fix_random_seed(seed)
    config = Config().from_str(JOINT, overrides=overrides).merge(more)
    return load_model_from_config(config, auto_fill=True)


def pair(nlp, docs):
    """Make examples: the pipeline's own tokenization beside the gold docs."""
    return [Example(nlp.make_doc(doc.text), doc) for doc in docs]


def start(docs, **settings):
    """Build and initialize the pipeline, and pair the docs with it."""
    nlp = build(**settings)
    examples = pair(nlp, docs)
    nlp.initialize(lambda: examples)
    return nlp, examples


def start_with_transformer(changes, folder, docs, **settings):
    """Build and initialize the pipeline with a transformer.

    changes: More of a config, with NAME for the transformer's folder.
    settings: Those of a `transformer` component's model.
    """
    overrides = Config().from_str(changes.replace("NAME", str(folder)))
    for name, value in settings.items():
        overrides["components"]["transformer"]["model"][name] = value
    pipeline = overrides.get("nlp", {}).get("pipeline", ["tok2vec", "crf_ner", "relation_scorer"])
    return start(docs, pipeline=pipeline, overrides=overrides)[0]


def step(nlp, examples, sgd=None, **kwargs):
    """Update once, as `spacy train` does: the optimizer runs when all gradients are there."""
    losses = nlp.update(examples, sgd=False, losses={}, **kwargs)
    if sgd is not None:
        for _, pipe in nlp.pipeline:
            pipe.finish_update(sgd)
    return losses


def fit(nlp, examples, epochs, learn_rate=0.03, size=10):
    """Train without dropout; returns the losses of each epoch."""
    sgd = Adam(learn_rate, grad_clip=1.0)
    batches = [examples[i : i + size] for i in range(0, len(examples), size)]
    return [[step(nlp, batch, sgd) for batch in batches] for _ in range(epochs)]


def gold_doc(vocab, words, ents=(), relations=(), spaces=None):
    """Make a doc of words with (start, end, label) and (head, tail, label) by entity numbers."""
    doc = Doc(vocab, words=words, spaces=spaces)
    spans = [Span(doc, start, end, label=label) for start, end, label in ents]
    doc.set_ents(spans)
    doc._.relations = [(spans[head], spans[tail], label) for head, tail, label in relations]
    return doc


def ents_of(doc):
    return [(ent.start, ent.end, ent.label_) for ent in doc.ents]


def relations_of(doc):
    return [(r.head.start, r.head.end, r.tail.start, r.tail.end, r.label) for r in doc._.relations]


def same(got, expected, tolerance=1e-6):
    """Assert that two docs have the same entities, relations and scores."""
    assert ents_of(got) == ents_of(expected)
    assert relations_of(got) == relations_of(expected)
    scores = [[relation.score for relation in doc._.relations] for doc in (got, expected)]
    assert scores[0] == pytest.approx(scores[1], abs=tolerance)


def torch_modules(model):
    return [shim.module for node in model.walk() for shim in node.shims]


def gradients(model):
    """Return the gradients of all torch parameters under a model, as one flat array."""
    parameters = [p for module in torch_modules(model) for p in module.parameters()]
    assert parameters
    assert all(p.grad is not None for p in parameters)
    return numpy.concatenate([p.grad.numpy().ravel() for p in parameters])


def state(model):
    """Return the values of all torch parameters under a model."""
    return {
        (number, name): value.detach().numpy().copy()
        for number, module in enumerate(torch_modules(model))
        for name, value in module.named_parameters()
    }
