"""What is faster at inference finds the same entities and relations, with the same scores."""

import numpy
import pytest

from spacy_deeper.layers.pytorch import fast_gru, linear


@pytest.mark.skipif(not linear.has_onednn(), reason="this torch has no oneDNN for it")
def test_equals_the_plain_path(trained, docs, monkeypatch):
    texts = [doc.text for doc in docs] * 2  # a batch that is large enough for the fast path
    used = []
    monkeypatch.setattr(fast_gru, "UNITS", 1)
    predict = fast_gru.predict
    monkeypatch.setattr(fast_gru, "predict", lambda *args: used.append(1) or predict(*args))
    fast = list(trained.pipe(texts, batch_size=64))
    assert used
    n_used = len(used)
    for module in (fast_gru, linear):
        monkeypatch.setattr(module, "has_onednn", lambda: False)
    plain = list(trained.pipe(texts, batch_size=64))
    assert len(used) == n_used
    assert sum(len(doc._.relations) for doc in plain) > 10
    for one, other in zip(fast, plain, strict=True):
        assert [(e.start, e.end, e.label_) for e in one.ents] == [
            (e.start, e.end, e.label_) for e in other.ents
        ]
        found, expected = one._.relations, other._.relations
        assert [(r.head.start, r.tail.start, r.label) for r in found] == [
            (r.head.start, r.tail.start, r.label) for r in expected
        ]
        numpy.testing.assert_allclose(
            [r.score for r in found], [r.score for r in expected], atol=1e-5
        )
