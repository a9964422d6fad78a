"""A joint pipeline that is tiny and learns twenty sentences by heart."""

from pathlib import Path

import numpy
import pytest
import spacy
from spacy.training import Example
from spacy.util import fix_random_seed
from thinc.api import Adam, Config

from spacy_deeper.training.formats import FORMATS

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
