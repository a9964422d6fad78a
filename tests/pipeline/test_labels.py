import pytest
import spacy
import srsly
from spacy.cli._util import app
from spacy.tokens import Doc, DocBin
from thinc.api import Adam, Config
from typer.testing import CliRunner

from .joint import JOINT, build, ents_of, fit, gold_doc, pair, relations_of, same, start, step

ENTS = ["Loc", "Org", "Other", "Peop"]
RELATIONS = ["Kill", "Live_In", "Located_In", "OrgBased_In", "Work_For"]
CORPORA = """
[corpora]

[paths]
train = null
labels = null

[corpora.train]
@readers = "spacy.Corpus.v1"
path = ${paths.train}

[corpora.dev]
@readers = "spacy.Corpus.v1"
path = ${paths.train}

[training]
seed = 0
gpu_allocator = null
train_corpus = "corpora.train"
dev_corpus = "corpora.dev"
"""


def initialize(nlp, examples, **labels):
    nlp.config["initialize"]["components"] = {
        name: {"labels": value} for name, value in labels.items()
    }
    nlp.initialize(lambda: examples)


def test_collected_from_data(trained):
    tagger, scorer = trained.get_pipe("crf_ner"), trained.get_pipe("relation_scorer")
    assert tagger.labels == tuple(ENTS)
    assert tagger.label_data == ENTS
    assert scorer.labels == tuple(RELATIONS)
    assert scorer.entity_labels == tuple(ENTS)
    assert scorer.label_data == {"relations": RELATIONS, "entities": ENTS}


@pytest.mark.parametrize(
    ("given", "relations", "entities"),
    [
        ([*RELATIONS, "A"], [*RELATIONS, "A"], ENTS),
        (tuple(RELATIONS[::-1]), RELATIONS[::-1], ENTS),
        ({"relations": [*RELATIONS, "A"]}, [*RELATIONS, "A"], ENTS),
        ({"entities": ["X", *ENTS]}, RELATIONS, ["X", *ENTS]),
        ({"relations": RELATIONS[::-1], "entities": ENTS[::-1]}, RELATIONS[::-1], ENTS[::-1]),
        ({}, RELATIONS, ENTS),
    ],
)
def test_given_to_the_scorer(docs, given, relations, entities):
    nlp = build()
    examples = pair(nlp, docs)
    initialize(nlp, examples, relation_scorer=given)
    assert nlp.get_pipe("relation_scorer").label_data == {
        "relations": list(relations),
        "entities": list(entities),
    }
    assert step(nlp, examples, Adam(0.01))["relation_scorer"] > 0


def test_given_to_the_tagger(docs):
    nlp = build()
    examples = pair(nlp, docs)
    initialize(nlp, examples, crf_ner=["X", *ENTS[::-1]])
    assert nlp.get_pipe("crf_ner").labels == ("X", *ENTS[::-1])
    assert nlp.get_pipe("crf_ner").model.get_dim("nO") == 11
    assert step(nlp, examples)["crf_ner"] > 0


@pytest.mark.parametrize("bad", ["Kill", 3, {"relation": ["Kill"]}, {"relations": [], "x": []}])
def test_bad_labels_object(docs, bad):
    nlp = build()
    nlp.initialize(lambda: pair(nlp, docs))
    with pytest.raises(ValueError, match=r"D213.*relation_scorer.*init labels"):
        nlp.get_pipe("relation_scorer").initialize(lambda: pair(nlp, docs), nlp=nlp, labels=bad)


@pytest.mark.parametrize("name", ["crf_ner", "relation_scorer"])
@pytest.mark.parametrize("label", ["", None, 3, b"Loc", ["Loc"]])
def test_label_that_is_no_text(trained, name, label):
    with pytest.raises(ValueError, match="D212"):
        trained.get_pipe(name).add_label(label)
    with pytest.raises(ValueError, match="D212"):
        trained.get_pipe("relation_scorer").add_entity_label(label)


@pytest.mark.parametrize("name", ["crf_ner", "relation_scorer"])
def test_label_that_is_not_new(trained, name):
    pipe = trained.get_pipe(name)
    before = pipe.labels
    assert pipe.add_label(before[0]) == 0
    assert pipe.labels == before


@pytest.mark.parametrize(
    ("what", "pipeline"),
    [("relation", ["tok2vec", "relation_scorer"]), ("entity", ["tok2vec", "crf_ner"])],
)
def test_nothing_to_learn_from(docs, what, pipeline):
    nlp = build(pipeline=pipeline)
    texts = [nlp.make_doc(doc.text) for doc in docs]
    with pytest.raises(ValueError, match=f"D210.*{pipeline[1]} found no {what} in"):
        nlp.initialize(lambda: pair(nlp, texts))


def test_no_relation_in_data(docs):
    nlp = build()
    bare = [doc.copy() for doc in docs]
    for doc in bare:
        doc._.relations = []
    with pytest.raises(ValueError, match=r"D210.*relation_scorer found no relation"):
        nlp.initialize(lambda: pair(nlp, bare))


@pytest.mark.parametrize(
    ("ents", "relation", "message"),
    [
        ([(0, 1, "Peop"), (2, 3, "Loc")], "Eats", r"relation_scorer.*relation label 'Eats'.*Kill"),
        ([(0, 1, "Peop"), (2, 3, "Star")], "Kill", r"crf_ner.*entity label 'Star'.*Loc, Org"),
    ],
)
def test_unknown_label_in_training(docs, ents, relation, message):
    nlp, _ = start(docs)
    gold = gold_doc(nlp.vocab, ["Ann", "left", "Oslo"], ents, [(0, 1, relation)])
    with pytest.raises(ValueError, match="D211.*" + message):
        step(nlp, pair(nlp, [gold]))


def test_unknown_entity_label_of_the_scorer(docs):
    nlp, _ = start(docs, pipeline=["tok2vec", "relation_scorer"])
    gold = gold_doc(nlp.vocab, ["Ann", "left", "Oslo"], [(0, 1, "Peop"), (2, 3, "Star")])
    with pytest.raises(ValueError, match=r"D211.*relation_scorer.*entity label 'Star'"):
        step(nlp, pair(nlp, [gold]))


def test_added_before_initialization(docs):
    nlp = build()
    assert nlp.get_pipe("crf_ner").add_label("Zoo") == 1
    assert nlp.get_pipe("relation_scorer").add_label("Zed") == 1
    assert nlp.get_pipe("relation_scorer").add_entity_label("Zoo") == 1
    examples = pair(nlp, docs)
    nlp.initialize(lambda: examples)
    assert nlp.get_pipe("crf_ner").labels == ("Zoo", *ENTS)
    assert nlp.get_pipe("relation_scorer").labels == ("Zed", *RELATIONS)
    assert nlp.get_pipe("relation_scorer").entity_labels == ("Zoo", *ENTS)
    assert step(nlp, examples)["crf_ner"] > 0


def test_the_tagger_may_be_given_its_size(docs):
    """`nO` in the config, as other models of spaCy have it."""
    nlp = build(tags=2 * len(ENTS) + 1)
    examples = pair(nlp, docs)
    nlp.initialize(lambda: examples)
    assert step(nlp, examples)["crf_ner"] > 0


@pytest.mark.parametrize("same_optimizer", [True, False])
def test_added_after_training(trained_path, docs, same_optimizer, tmp_path):
    nlp = spacy.load(trained_path)
    examples = pair(nlp, docs)
    sgd = Adam(0.01, grad_clip=1.0)
    for _ in range(3):
        step(nlp, examples, sgd)
    old = [nlp(doc.text) for doc in docs]
    assert any(doc.ents for doc in old)
    assert any(doc._.relations for doc in old)
    assert nlp.get_pipe("crf_ner").add_label("Zoo") == 1
    scorer = nlp.get_pipe("relation_scorer")
    assert scorer.add_label("Zed") == scorer.add_entity_label("Zoo") == 1

    # What was learned is still there. The new tag's scores are random ones.
    new = [nlp(doc.text) for doc in docs]
    kept = sum(ents_of(a) == ents_of(b) for a, b in zip(old, new, strict=True))
    assert kept >= 0.8 * len(docs)
    lost = 0
    for before, after in zip(old, new, strict=True):
        if ents_of(before) == ents_of(after):
            again = [r for r in relations_of(after) if r[-1] != "Zed"]
            lost += set(again) != set(relations_of(before))
    assert lost <= 1

    # Training goes on, with the new labels.
    words = ["Ann", "saw", "Regent", "Park"]
    gold = gold_doc(nlp.vocab, words, [(0, 1, "Peop"), (2, 4, "Zoo")], [(0, 1, "Zed")])
    more = [*examples[:3], *pair(nlp, [gold]) * 2]
    sgd = sgd if same_optimizer else Adam(0.01, grad_clip=1.0)
    for _ in range(60):
        step(nlp, more, sgd)
    doc = nlp(gold.text)
    assert ents_of(doc) == ents_of(gold)
    assert relations_of(doc) == relations_of(gold)

    nlp.to_disk(tmp_path)
    for loaded in (build().from_disk(tmp_path), build().from_bytes(nlp.to_bytes())):
        assert loaded.get_pipe("crf_ner").labels == (*ENTS, "Zoo")
        assert loaded.get_pipe("relation_scorer").labels == (*RELATIONS, "Zed")
        same(loaded(gold.text), doc)


def test_old_scores_do_not_change_with_a_new_label(docs):
    """Of the relations to the last digits; the head's input grows with its output."""
    nlp, examples = start(docs)
    fit(nlp, examples, 5)
    scorer = nlp.get_pipe("relation_scorer")
    doc = nlp.get_pipe("tok2vec")(examples[0].predicted.copy())
    doc.set_ents([doc.char_span(e.start_char, e.end_char, e.label_) for e in docs[0].ents])
    (before,) = scorer.predict([doc])
    scorer.add_entity_label("Zoo")
    assert scorer.predict([doc])[0] == pytest.approx(before, abs=1e-6)
    scorer.add_label("Zed")
    (after,) = scorer.predict([doc])
    assert after.shape == (*before.shape[:2], 6)
    assert after[:, :, :5] == pytest.approx(before, abs=0.2)


@pytest.fixture
def corpus(docs, tmp_path):
    DocBin(docs=docs, store_user_data=True).to_disk(tmp_path / "train.spacy")
    return tmp_path


def test_init_labels_command(docs, corpus, monkeypatch):
    config = Config().from_str(JOINT + CORPORA, overrides={"paths.train": "train.spacy"})
    config.to_disk(corpus / "config.cfg")
    monkeypatch.chdir(corpus)
    run = CliRunner().invoke(app, ["init", "labels", "config.cfg", "labels"])
    assert run.exit_code == 0, run.output
    assert srsly.read_json("labels/crf_ner.json") == ENTS
    expected = {"relations": RELATIONS, "entities": ENTS}
    assert srsly.read_json("labels/relation_scorer.json") == expected

    # Read them back, with one that the data does not have, and without any label in the data.
    expected["relations"] = ["Zed", *RELATIONS]
    srsly.write_json("labels/relation_scorer.json", expected)
    reader = {"@readers": "spacy.read_labels.v1"}
    nlp = build()
    initialize(
        nlp,
        pair(nlp, [nlp.make_doc(doc.text) for doc in docs]),
        crf_ner={**reader, "path": "labels/crf_ner.json"},
        relation_scorer={**reader, "path": "labels/relation_scorer.json"},
    )
    assert nlp.get_pipe("crf_ner").label_data == ENTS
    assert nlp.get_pipe("relation_scorer").label_data == expected
    assert step(nlp, pair(nlp, docs))["relation_scorer"] > 0


def test_an_argument_without_type(docs):
    """It would be an entity that no tag stands for."""
    nlp = build()
    doc = nlp.make_doc("Ann left Oslo")
    doc._.relations = [(doc[0:1], doc[2:3], "Left")]
    with pytest.raises(ValueError, match=r"\[D214\].*'Ann'.*Ann left Oslo"):
        initialize(nlp, pair(nlp, [*docs, doc]))


def test_lost_relations_are_warned_of(docs):
    """Docs whose relations were lost teach that there are none."""
    nlp = build()
    lost = Doc(nlp.vocab, words=["Ann", "left", "Oslo"], ents=["B-Peop", "O", "B-Loc"])
    with pytest.warns(UserWarning, match=r"\[DW201\].* 1 of 21 training docs"):
        initialize(nlp, pair(nlp, [*docs, lost]))
    nlp = build()  # also if labels are given
    scorer = nlp.get_pipe("relation_scorer")
    with pytest.warns(UserWarning, match=r"\[DW201\].* 1 of 21 .*augmenter"):
        scorer.initialize(
            lambda: pair(nlp, [*docs, lost]), labels={"relations": ["Left"], "entities": ENTS}
        )


@pytest.mark.parametrize("labels", ["Loc", {"Loc": 1}])
def test_no_list_of_entity_labels(docs, labels):
    nlp = build()
    with pytest.raises(ValueError, match="D219"):
        nlp.get_pipe("crf_ner").initialize(lambda: pair(nlp, docs), labels=labels)
