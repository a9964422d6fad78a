"""The paper's model for CoNLL04 (Table 1) has "approximately 6 million trainable parameters"."""

import numpy
from spacy.ml.models.tok2vec import build_Tok2Vec_model
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab
from thinc.api import Model, chain

from spacy_deeper.layers.birnn import BiRNN
from spacy_deeper.layers.casing import Casing
from spacy_deeper.layers.char_birnn import CharBiRNN
from spacy_deeper.layers.relation_head import RelationHead
from spacy_deeper.layers.scalar_mix import ScalarMix
from spacy_deeper.layers.static_vectors import StaticVectors
from spacy_deeper.models.embedding import JointEmbed
from spacy_deeper.models.relation_model import RelationModel
from spacy_deeper.models.tagger import CRFTagger
from spacy_deeper.schemes import bio

N_ENTITIES, N_RELATIONS = 4, 5


def elmo() -> Model:
    """What ELMo gives: three layers, 1024 wide."""

    def forward(model: Model, docs: list[Doc], is_train: bool):
        return [numpy.zeros((len(doc), 3, 1024), "f") for doc in docs], lambda dYs: []

    return Model("elmo", forward)


def n_parameters(*models: Model) -> int:
    """Count what is trained, once where it is shared."""
    nodes = {node.id: node for model in models for node in model.walk()}
    shims = {shim.id: shim for node in nodes.values() for shim in node.shims}
    assert not any(node.param_names for node in nodes.values())
    return sum(p.numel() for shim in shims.values() for p in shim._model.parameters())


def gru(n_in: int, size: int) -> int:
    """Both directions: three gates, each with two matrices and two vectors of biases."""
    return 2 * 3 * size * (n_in + size + 2)


def dense(n_in: int, n_out: int) -> int:
    return n_out * (n_in + 1)


def test_the_number_of_parameters() -> None:
    vocab = Vocab(vectors=None)
    vocab.vectors = Vectors(shape=(2, 300), strings=vocab.strings)
    docs = [Doc(vocab, words=["Poe", "was", "born", "in", "Boston"])]
    tok2vec = build_Tok2Vec_model(
        embed=JointEmbed(
            contextual=chain(elmo(), ScalarMix()),
            static=StaticVectors(),
            char=CharBiRNN(width=64),
            casing=Casing(),
        ),
        encode=BiRNN(512, 1),
    )
    tagger = CRFTagger(tok2vec, BiRNN(512, 1), 64, "tanh", nO=bio.n_tags(N_ENTITIES))
    scorer = RelationModel(tok2vec, BiRNN(512, 2), RelationHead(128), label_embedding=25)
    scorer.set_dim("nO", N_RELATIONS)
    scorer.get_ref("labels").set_dim("nV", bio.n_tags(N_ENTITIES))
    tagger.initialize(X=docs)
    scorer.initialize(X=(docs, [numpy.zeros((0, 2), "int64")]))

    tags, g = 2 * N_ENTITIES + 1, 512 + 25
    expected = {
        "scalar mix": 3 + 1,
        "characters": 2048 * 32 + gru(32, 32),
        "shared": gru(1024 + 300 + 64 + 7, 256),
        "NER": gru(512, 256),
        "FFNN(e1), FFNN(e2)": dense(512, 64) + dense(64, tags),
        "CRF": tags * tags + 2 * tags,
        "RE": 2 * gru(512, 256),
        "label embedding": tags * 25,
        "DISTMULT": N_RELATIONS * g,
        "FFNN(r1)": dense(g, 128),
        "FFNN(r2)": dense(2 * 128 + 1 + N_RELATIONS, N_RELATIONS),
    }
    total = n_parameters(tok2vec, tagger, scorer)
    assert total == sum(expected.values())
    assert 5.5e6 < total < 6.5e6
    assert total == 6_271_985  # what docs/reference.md says
