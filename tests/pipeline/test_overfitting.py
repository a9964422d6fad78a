import copy
import json
import os
import pickle
import subprocess
import sys

import pytest
import spacy
from spacy.training import Example

from .joint import build, ents_of, fit, pair, relations_of, same, start

READ_RELATIONS = """
import json, sys
import spacy
nlp = spacy.load(sys.argv[1])
doc = nlp(sys.argv[2])
assert doc._.relations
rows = [[r.head.text, r.tail.text, r.label, r.score] for r in doc._.relations]
print(json.dumps(rows))
"""


@pytest.fixture(scope="module")
def predicted(trained, docs):
    return [trained(doc.text) for doc in docs]


def test_overfits(trained, docs, predicted):
    scores = trained.evaluate(pair(trained, docs))
    assert scores["ents_micro_f"] == scores["rel_micro_f"] == 1.0
    assert sum(len(doc._.relations) for doc in docs) > 10
    for doc, gold in zip(predicted, docs, strict=True):
        assert ents_of(doc) == ents_of(gold)
        assert sorted(relations_of(doc)) == sorted(relations_of(gold))


def test_disk(trained_path, docs, predicted):
    nlp = spacy.load(trained_path)
    for doc, expected in zip(docs, predicted, strict=True):
        same(nlp(doc.text), expected)


def test_bytes(trained, docs, predicted):
    nlp = build(seed=1).from_bytes(trained.to_bytes())
    for doc, expected in zip(docs, predicted, strict=True):
        same(nlp(doc.text), expected)


def test_fresh_process_needs_only_spacy(trained_path, predicted):
    (expected, *_) = [doc for doc in predicted if doc._.relations]
    run = subprocess.run(
        [sys.executable, "-c", READ_RELATIONS, str(trained_path), expected.text],
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    rows = json.loads(run.stdout)
    assert [row[:3] for row in rows] == [[str(x) for x in r[:3]] for r in expected._.relations]
    assert [row[3] for row in rows] == pytest.approx([r.score for r in expected._.relations])


@pytest.mark.parametrize("batch_size", [1, 3, 20])
def test_batches_do_not_matter(trained, docs, predicted, batch_size):
    texts = [doc.text for doc in docs]
    for doc, expected in zip(trained.pipe(texts, batch_size=batch_size), predicted, strict=True):
        same(doc, expected, 1e-5)


def test_processes_do_not_matter(trained, docs, predicted):
    texts = [doc.text for doc in docs]
    piped = list(trained.pipe(texts, n_process=2, batch_size=5))
    for doc, expected in zip(piped, predicted, strict=True):
        same(doc, expected, 1e-5)


@pytest.mark.parametrize(
    "clone", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies_like_spacys_own(trained_path, docs, predicted, clone):
    """spaCy's pipelines pickle, and `n_process` needs it where processes are spawned."""
    own = spacy.blank("en")
    own.add_pipe("ner")
    own.initialize(lambda: pair(own, docs))
    assert clone(own).pipe_names == ["ner"]
    # As loaded: after an update spaCy's own listeners hold callbacks that do not pickle.
    nlp = clone(spacy.load(trained_path))
    for doc, expected in zip(docs, predicted, strict=True):
        same(nlp(doc.text), expected)


def test_a_copy_trains_on_its_own(trained, trained_path, docs):
    nlp = copy.deepcopy(spacy.load(trained_path))
    before = trained(docs[0].text)
    (losses,) = fit(nlp, pair(nlp, docs), 1, size=20)
    assert losses[0]["crf_ner"] > 0
    same(trained(docs[0].text), before)


@pytest.mark.parametrize("drop", [0.0, 0.3])
def test_a_seed_repeats(docs, drop):
    runs = []
    for seed in (0, 0, 1):
        nlp, examples = start(docs[:10], seed=seed)
        losses = [nlp.update(examples, drop=drop, losses={}) for _ in range(3)]
        nlp.get_pipe("relation_scorer").threshold = 0.0
        scores = [r.score for doc in docs[:3] for r in nlp(doc.text)._.relations]
        runs.append((losses, scores, [ents_of(nlp(doc.text)) for doc in docs]))
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[2][0]


def test_dropout_reaches_every_part(docs):
    """Two passes over the same batch differ with dropout, in both losses."""
    nlp, examples = start(docs)
    plain, again, dropped = (
        nlp.update(
            [Example(nlp.make_doc(eg.text), eg.reference) for eg in examples],
            sgd=False,
            losses={},
            drop=drop,
        )
        for drop in (0.0, 0.0, 0.5)
    )
    for name in ("crf_ner", "relation_scorer"):
        assert plain[name] == again[name] != dropped[name]


def test_processes_with_threads(trained_path, docs):
    """OpenMP's threads do not survive a fork: the workers must not wait for them."""
    code = (
        f"import spacy; nlp = spacy.load({str(trained_path)!r}); nlp({docs[0].text!r}); "
        f"print(len(list(nlp.pipe([{docs[0].text!r}] * 4, n_process=2))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "4", done.stderr
