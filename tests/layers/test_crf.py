import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spacy_deeper.layers.crf import viterbi
from spacy_deeper.layers.pytorch.crf import EntityCRF
from spacy_deeper.schemes import bilou

from .enumeration import (
    all_sequences,
    as_layer,
    flat,
    random_crf,
    random_texts,
    scores,
    split,
    well_formed,
)

HUGE = 2.0**100  # sums of it are finite in single precision
logsumexp = numpy.logaddexp.reduce


def best(crf: EntityCRF, text: numpy.ndarray, allowed: numpy.ndarray | None = None) -> list[int]:
    """The best well-formed tags of one text, by trying all."""
    scheme = "bilou" if crf.scheme is bilou else "bio"
    if len(text) == 0:
        return []
    sequences = [
        tags
        for tags in all_sequences(*text.shape).tolist()
        if well_formed(tags, scheme) and (allowed is None or allowed[range(len(tags)), tags].all())
    ]
    return sequences[int(scores(crf, text, numpy.array(sequences)).argmax())]


@pytest.mark.parametrize("n_tags", [3, 5, 7])
def test_likelihood_is_that_of_enumeration(n_tags: int) -> None:
    crf, texts = random_crf(n_tags), random_texts(n_tags)
    tags = [numpy.random.default_rng(1).integers(0, n_tags, len(text)) for text in texts]
    expected = [
        logsumexp(scores(crf, text, all_sequences(*text.shape))) - scores(crf, text, y[None])[0]
        if len(text)
        else 0.0
        for text, y in zip(texts, tags, strict=True)
    ]
    emissions, lengths = flat(texts)
    losses = crf(emissions, torch.from_numpy(numpy.concatenate(tags)), lengths)
    numpy.testing.assert_allclose(losses.detach().numpy(), expected, atol=1e-9)
    layer = as_layer(crf)
    losses = layer.predict(([text.astype("f") for text in texts], tags))
    assert losses.dtype == "float32"
    numpy.testing.assert_allclose(losses, expected, atol=1e-4)


@pytest.mark.parametrize("n_tags", [3, 5, 7])
def test_unknown_tags_are_summed_over(n_tags: int) -> None:
    crf, texts = random_crf(n_tags), random_texts(n_tags, scale=3.0)
    rng = numpy.random.default_rng(1)
    tags = [rng.integers(0, n_tags, len(text)) for text in texts]
    for i in (0, 2, 4):
        tags[i][rng.random(len(tags[i])) < 0.5] = -1
    tags[0][0] = -1
    tags[5][:] = -1  # a text of which nothing is known; text 3 is known in full
    expected = []
    for text, y in zip(texts, tags, strict=True):
        if len(text) == 0:
            expected.append(0.0)
            continue
        sequences = all_sequences(*text.shape)
        agree = ((sequences == y) | (y == -1)).all(axis=1)
        values = scores(crf, text, sequences)
        expected.append(logsumexp(values) - logsumexp(values[agree]))
    emissions, lengths = flat(texts)
    losses = crf(emissions, torch.from_numpy(numpy.concatenate(tags)), lengths)
    numpy.testing.assert_allclose(losses.detach().numpy(), expected, atol=1e-9)
    assert losses[5] == 0
    losses = as_layer(crf).predict(([text.astype("f") for text in texts], tags))
    numpy.testing.assert_allclose(losses, expected, atol=1e-4)


@pytest.mark.parametrize("n_tags", [3, 5, 7])
def test_a_text_does_not_depend_on_its_neighbours(n_tags: int) -> None:
    crf, texts = random_crf(n_tags), random_texts(n_tags)
    tags = [numpy.full(len(text), -1 if i == 2 else 1) for i, text in enumerate(texts)]
    emissions, lengths = flat(texts)
    together = crf(emissions, torch.from_numpy(numpy.concatenate(tags)), lengths)
    alone = [
        crf(*(torch.from_numpy(x) for x in (text, y)), torch.tensor([len(text)]))[0]
        for text, y in zip(texts, tags, strict=True)
    ]
    torch.testing.assert_close(together, torch.stack(alone))


SIZES = [("bio", 1), ("bio", 3), ("bio", 5), ("bio", 7), ("bilou", 1), ("bilou", 5), ("bilou", 9)]


@pytest.mark.parametrize(("scheme", "n_tags"), SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_decoding_is_that_of_enumeration(scheme: str, n_tags: int, seed: int) -> None:
    crf, texts = random_crf(n_tags, scheme=scheme), random_texts(n_tags, seed)
    emissions, lengths = flat(texts)
    expected = [best(crf, text) for text in texts]
    assert split(crf.viterbi(emissions, lengths)) == expected
    decoded = viterbi(as_layer(crf), [text.astype("f") for text in texts])
    assert [tags.tolist() for tags in decoded] == expected


@pytest.mark.parametrize("scheme", ["bio", "bilou"])
def test_the_constraint_binds_in_these_tests(scheme: str) -> None:
    """Else the test above would pass without any constraint."""
    crf, (text, *_) = random_crf(5, scheme=scheme), random_texts(5, seed=1)
    sequences = all_sequences(*text.shape)
    unconstrained = sequences[scores(crf, text, sequences).argmax()]
    assert not well_formed(unconstrained, scheme)


@pytest.mark.parametrize(("scheme", "n_tags"), SIZES[1:])
@pytest.mark.parametrize("seed", range(3))
def test_decoding_with_allowed_tags(scheme: str, n_tags: int, seed: int) -> None:
    crf, texts = random_crf(n_tags, scheme=scheme), random_texts(n_tags, seed)
    rng = numpy.random.default_rng(seed)
    allowed = [rng.random(text.shape) < 0.5 for text in texts]
    for mask in allowed:
        mask[:, 0] = True  # so that a well-formed sequence remains
    allowed[0] = None
    allowed[2][1:3] = numpy.arange(n_tags) == 0
    decoded = viterbi(as_layer(crf), [text.astype("f") for text in texts], allowed)
    expected = [best(crf, text, mask) for text, mask in zip(texts, allowed, strict=True)]
    assert [tags.tolist() for tags in decoded] == expected


@given(st.data())
def test_decoding_is_well_formed_whatever_the_emissions(data: st.DataObject) -> None:
    scheme, n_tags = data.draw(st.sampled_from(SIZES))
    lengths = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    numbers = st.floats(-HUGE, HUGE, width=32) | st.sampled_from([-1e4, 0.0, 1e4])
    emissions = data.draw(arrays("float32", (sum(lengths), n_tags), elements=numbers))
    crf = random_crf(n_tags, torch.float32, scheme)
    if data.draw(st.booleans()):  # transitions that learned to like what is ill-formed
        torch.nn.init.constant_(crf.transitions[:, 2::2].detach(), 100.0)
    tags = split(crf.viterbi(torch.from_numpy(emissions), torch.tensor(lengths)), lengths)
    assert [len(text) for text in tags] == lengths
    assert all(well_formed(text, scheme) for text in tags)


@pytest.mark.parametrize("size", [1e3, 1e5, HUGE])
def test_allowed_tags_hold_whatever_the_emissions(size: float) -> None:
    model = as_layer(random_crf(5, torch.float32))
    rng = numpy.random.default_rng(0)
    texts = [rng.normal(scale=size, size=(6, 5)).astype("f") for _ in range(20)]
    allowed = [rng.random(text.shape) < 0.5 for text in texts]
    for mask in allowed:
        mask[:, 0] = True
    for tags, mask in zip(viterbi(model, texts, allowed), allowed, strict=True):
        assert mask[numpy.arange(6), tags].all()
        assert well_formed(tags.tolist())


@pytest.mark.parametrize("n_tags", [3, 5, 7])
def test_decoding_is_that_of_pytorch_crf_if_no_constraint_binds(n_tags: int) -> None:
    crf = random_crf(n_tags)
    with torch.no_grad():  # what is ill-formed never pays
        for tag in range(2, n_tags, 2):
            crf.start_transitions[tag] = -1e3
            others = [i for i in range(n_tags) if i not in (tag - 1, tag)]
            crf.transitions[others, tag] = -1e3
    texts = [text for text in random_texts(n_tags, seed=3, scale=2.0) if len(text)]
    emissions, lengths = flat(texts)
    padded = torch.nn.utils.rnn.pad_sequence(emissions.split(lengths.tolist()), batch_first=True)
    mask = torch.arange(padded.shape[1]) < lengths[:, None]
    theirs = crf.decode(padded, mask)
    assert split(crf.viterbi(emissions, lengths), lengths) == theirs
    assert any(any(tags) for tags in theirs)


def test_no_tokens() -> None:
    model = as_layer(random_crf(5))
    texts = [numpy.zeros((0, 5), "f")] * 3
    losses, backprop = model.begin_update((texts, [numpy.zeros(0, "int64")] * 3))
    assert losses.tolist() == [0, 0, 0]
    assert [d.shape for d in backprop(numpy.ones(3, "f"))] == [(0, 5)] * 3
    assert [tags.shape for tags in viterbi(model, texts)] == [(0,)] * 3
    model.finish_update(lambda key, weights, gradient: (weights, gradient))
