"""The components among spaCy's own tools."""

import pytest
import spacy
from spacy.cli.train import train
from spacy.tokens import DocBin, Span
from thinc.api import Adam, Config

from .joint import JOINT, build, ents_of, fit, pair, relations_of, same, start, state, step

TRAINING = """
[corpora]

[corpora.train]
@readers = "spacy.Corpus.v1"
path = "train.spacy"

[corpora.dev]
@readers = "spacy.Corpus.v1"
path = "train.spacy"

[training]
seed = 0
gpu_allocator = null
train_corpus = "corpora.train"
dev_corpus = "corpora.dev"
max_steps = 6
eval_frequency = 3
dropout = 0.1

[training.batcher]
@batchers = "spacy.batch_by_sequence.v1"
size = 10

[training.optimizer]
@optimizers = "spacy_deeper.NAdam.v1"
learn_rate = 0.01

[training.score_weights]
ents_micro_f = 0.5
rel_micro_f = 0.5
rel_macro_f = 0.0
"""
SCORES = [
    *(f"ents_micro_{x}" for x in "prf"),
    *(f"rel_micro_{x}" for x in "prf"),
    *(f"rel_macro_{x}" for x in "prf"),
    *(f"rel_boundaries_micro_{x}" for x in "prf"),
]


@pytest.fixture
def nlp(trained_path):
    return spacy.load(trained_path)


@pytest.fixture
def folder(docs, tmp_path, monkeypatch):
    DocBin(docs=docs, store_user_data=True).to_disk(tmp_path / "train.spacy")
    (tmp_path / "config.cfg").write_text(JOINT + TRAINING)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_evaluate(trained, docs):
    scores = trained.evaluate(pair(trained, docs))
    assert {name: scores[name] for name in SCORES} == dict.fromkeys(SCORES, 1.0)
    assert scores["rel_per_type"]["Kill"]["f"] == 1.0


def test_scores_are_floats_where_there_is_nothing(trained, docs):
    """spaCy drops the weight of a score that is None for the rest of a training."""
    for batch in ([], [doc for doc in docs if not doc.ents], [trained.make_doc("")]):
        scores = trained.evaluate(pair(trained, batch))
        assert all(type(scores[name]) is float for name in SCORES)


def test_score_weights_of_the_factories():
    nlp = spacy.blank("en")
    nlp.add_pipe("crf_ner")
    nlp.add_pipe("relation_scorer")
    weights = nlp.config["training"]["score_weights"]
    assert weights["ents_micro_f"] == weights["rel_micro_f"] == 0.5
    assert sum(weight or 0.0 for weight in weights.values()) == 1.0


def test_default_models_learn(docs):
    """`nlp.add_pipe` without any config gives models that work on their own."""
    nlp = spacy.blank("en")
    nlp.add_pipe("crf_ner")
    nlp.add_pipe("relation_scorer")
    examples = pair(nlp, docs[:5])
    nlp.initialize(lambda: examples)
    losses = [step(nlp, examples, Adam(0.002)) for _ in range(4)]
    assert losses[-1]["crf_ner"] < losses[0]["crf_ner"]
    assert losses[-1]["relation_scorer"] < losses[0]["relation_scorer"]


def test_spacy_train(folder, capsys):
    train("config.cfg", "out")
    log = capsys.readouterr().out
    for column in ("LOSS CRF_NER", "LOSS RELAT", "ENTS_MICRO_F", "REL_MICRO_F", "REL_MACRO_F"):
        assert column in log
    best = spacy.load(folder / "out" / "model-best")
    performance = best.meta["performance"]
    assert all(type(performance[name]) is float for name in ("ents_micro_f", "rel_micro_f"))
    assert performance["relation_scorer_loss"] > 0
    assert isinstance(best("Ann Berg left Oslo.")._.relations, list)


def test_spacy_train_with_what_is_learned_frozen(folder, trained_path, docs, capsys):
    """Relations alone are trained anew, on a trained tagger and its frozen shared layers."""
    config = Config().from_str(JOINT + TRAINING)
    for name in ("tok2vec", "crf_ner"):
        config["components"][name] = {"source": str(trained_path)}
    config["training"] |= {
        "frozen_components": ["tok2vec", "crf_ner"],
        "annotating_components": ["tok2vec"],
    }
    config.to_disk("config.cfg")
    train("config.cfg", "out")
    capsys.readouterr()
    trained, frozen = spacy.load(trained_path), spacy.load(folder / "out" / "model-last")
    for doc in docs:
        assert ents_of(frozen(doc.text)) == ents_of(trained(doc.text))
    for name, equal in (("tok2vec", True), ("crf_ner", True), ("relation_scorer", False)):
        a, b = (state(x.get_pipe(name).model) for x in (trained, frozen))
        assert [(a[key] == b[key]).all() for key in a] == [equal] * len(a)


def test_the_scorer_needs_no_annotating_components(docs):
    """It learns alike, whether the tagger has annotated the batch or not."""
    nlp, examples = start(docs)
    losses = [
        nlp.update(batch, sgd=False, losses={}, annotates=annotates)["relation_scorer"]
        for annotates in ([], ["tok2vec", "crf_ner"])
        for batch in [pair(nlp, docs)]
    ]
    assert losses[0] == losses[1] > 0
    assert not any(eg.predicted.ents for eg in examples)


@pytest.mark.parametrize("saved", [False, True])
def test_sourced_into_another_pipeline(nlp, trained, docs, saved, tmp_path):
    """The scorer alone, with its own copy of the shared layers, behind a ruler."""
    nlp.replace_listeners("tok2vec", "relation_scorer", ["model.tok2vec"])
    other = spacy.blank("en", vocab=nlp.vocab)
    ruler = other.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": e.label_, "pattern": e.text} for e in docs[0].ents])
    other.add_pipe("relation_scorer", source=nlp)
    if saved:
        other.to_disk(tmp_path)
        other = spacy.load(tmp_path)
    same(other(docs[0].text), trained(docs[0].text))


def test_replaced_listeners_train(nlp, docs):
    """Each component's copy of the shared layers learns by itself."""
    nlp.replace_listeners("tok2vec", "relation_scorer", ["model.tok2vec"])
    shared, own = nlp.get_pipe("tok2vec").model, nlp.get_pipe("relation_scorer").model
    before = state(shared), state(own)
    alone = spacy.blank("en", vocab=nlp.vocab)
    alone.add_pipe("relation_scorer", source=nlp)
    fit(alone, pair(alone, docs), 2)
    assert all((state(shared)[key] == before[0][key]).all() for key in before[0])
    assert all((state(own)[key] != before[1][key]).any() for key in before[1])


def test_copied_layers_do_not_share_an_optimizers_memory(nlp):
    """Optimizers keep moments by the ids of parameters: those of a copy are others."""
    model = nlp.get_pipe("tok2vec").model
    ids = [{shim.id for node in m.walk() for shim in node.shims} for m in (model, model.copy())]
    assert ids[0].isdisjoint(ids[1])


def test_disabled_components(nlp, docs):
    text = docs[0].text
    with nlp.select_pipes(disable="relation_scorer"):
        doc = nlp(text)
        assert ents_of(doc) == ents_of(docs[0])
        assert doc._.relations == []
    with nlp.select_pipes(disable="crf_ner"):
        doc = nlp(text)
        assert doc.ents == ()
        assert doc._.relations == []
    assert sorted(relations_of(nlp(text))) == sorted(relations_of(docs[0]))


def test_loaded_without_the_tagger(trained_path, docs):
    nlp = spacy.load(trained_path, exclude=["crf_ner"])
    doc = nlp.make_doc(docs[0].text)
    doc.set_ents([Span(doc, *ent) for ent in ents_of(docs[0])])
    assert sorted(relations_of(nlp(doc))) == sorted(relations_of(docs[0]))


def test_analyze_pipes():
    summary = build().analyze_pipes()
    tagger, scorer = (summary["summary"][name] for name in ("crf_ner", "relation_scorer"))
    assert tagger["assigns"] == ["doc.ents", "token.ent_iob", "token.ent_type"]
    assert scorer["requires"] == ["doc.ents"]
    assert scorer["assigns"] == ["doc._.relations"]
    assert summary["problems"]["relation_scorer"] == []
    alone = build(pipeline=["tok2vec", "relation_scorer"]).analyze_pipes()
    assert alone["problems"]["relation_scorer"] == ["doc.ents"]
