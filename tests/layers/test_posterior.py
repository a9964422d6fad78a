from itertools import combinations

import numpy
import pytest
import torch

from spacy_deeper.layers.crf import CRF, likely_tags, span_probabilities
from spacy_deeper.layers.pytorch.crf import CRFCommittee
from spacy_deeper.layers.torch_layer import module_of
from spacy_deeper.schemes import SCHEMES

from .enumeration import (
    LENGTHS,
    all_sequences,
    as_layer,
    flat,
    random_crf,
    random_texts,
    scores,
    split,
    well_formed,
)

SIZES = [("bio", 3), ("bio", 5), ("bilou", 5), ("bilou", 9)]


def probabilities(crf, text, allowed=None) -> tuple[numpy.ndarray, numpy.ndarray]:
    """All well-formed tag sequences of a text and their probabilities, by the definition."""
    sequences = numpy.array(
        [tags for tags in all_sequences(*text.shape) if well_formed(tags, crf.scheme_name)]
    )
    if allowed is not None:
        sequences = sequences[allowed[range(len(text)), sequences].all(axis=1)]
    values = scores(crf, text, sequences)
    p = numpy.exp(values - values.max())
    return sequences, p / p.sum()


def entities(sequences, p, scheme: str, n_tags: int) -> dict[tuple[int, int, int], float]:
    """All spans and their probabilities to be entities, by counting.

    An entity is B-X, I-X, …, and no I-X follows; in BILOU B-X, I-X, …, L-X or U-X alone.
    """
    length = sequences.shape[1]
    found = {}
    for start, end in combinations(range(length + 1), 2):
        for label in range(n_tags // (2 if scheme == "bio" else 4)):
            if scheme == "bio":
                begin, inside = 1 + 2 * label, 2 + 2 * label
                tags = [begin] + [inside] * (end - start - 1)
            else:
                begin, inside, last, only = range(1 + 4 * label, 5 + 4 * label)
                tags = [only] if end == start + 1 else [begin, *[inside] * (end - start - 2), last]
            there = (sequences[:, start:end] == tags).all(axis=1)
            if end < length:
                there &= sequences[:, end] != inside
            found[start, end, label] = p[there].sum()
    return found


def committee_of(crfs) -> CRFCommittee:
    committee = CRFCommittee(len(crfs), crfs[0].num_tags, crfs[0].scheme_name).double()
    for own, crf in zip(committee.members, crfs, strict=True):
        own.load_state_dict(crf.state_dict())
    return committee


@pytest.mark.parametrize(("scheme", "n_tags"), SIZES)
def test_probabilities_are_those_of_enumeration(scheme: str, n_tags: int) -> None:
    crf, texts = random_crf(n_tags, scheme=scheme), random_texts(n_tags)
    posterior = crf.posterior(*flat(texts))
    starts = numpy.cumsum([0, *LENGTHS])
    for text, first, rows in zip(texts, starts, posterior.tags.split(LENGTHS), strict=False):
        if len(text) == 0:
            continue
        sequences, p = probabilities(crf, text)
        expected = [[p[column == tag].sum() for tag in range(n_tags)] for column in sequences.T]
        numpy.testing.assert_allclose(rows.numpy(), expected, atol=1e-12)
        spans = entities(sequences, p, scheme, n_tags)
        in_batch = [(first + start, first + end, label) for start, end, label in spans]
        found = posterior.of_spans(in_batch).numpy()
        numpy.testing.assert_allclose(found, list(spans.values()), atol=1e-12)
    assert posterior.of_spans([]).shape == (0,)


@pytest.mark.parametrize(("scheme", "n_tags"), SIZES)
def test_a_committee_has_the_mean_of_its_members(scheme: str, n_tags: int) -> None:
    crfs = [random_crf(n_tags, scheme=scheme) for _ in range(3)]
    columns = [random_texts(n_tags, seed) for seed in range(3)]
    texts = [numpy.concatenate(parts, axis=1) for parts in zip(*columns, strict=True)]
    posterior = committee_of(crfs).posterior(*flat(texts))
    alone = [crf.posterior(*flat(own)) for crf, own in zip(crfs, columns, strict=True)]
    torch.testing.assert_close(posterior.tags, torch.stack([one.tags for one in alone]).mean(0))
    spans = [(0, 2, 0), (3, 8, 0), (4, 5, n_tags // 4 - 1), (9, 11, 0)]
    together = torch.stack([one.of_spans(spans) for one in alone]).mean(0)
    torch.testing.assert_close(posterior.of_spans(spans), together)
    assert (together > 0).all()


@pytest.mark.parametrize(("scheme", "n_tags"), SIZES)
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.9])
def test_likely_tags_are_all_entities_above_the_threshold(
    scheme: str, n_tags: int, members: int, threshold: float
) -> None:
    n_found = 0
    for seed in range(10):
        crfs = [random_crf(n_tags, scheme=scheme) for _ in range(members)]
        columns = [random_texts(n_tags, 10 * seed + i, 4.0) for i in range(members)]
        if members > 1:  # that agree on something
            columns[1:] = [
                [4 * own + other for own, other in zip(columns[0], more, strict=True)]
                for more in columns[1:]
            ]
        texts = [numpy.concatenate(parts, axis=1) for parts in zip(*columns, strict=True)]
        module = crfs[0] if members == 1 else committee_of(crfs)
        emissions, lengths = flat(texts)
        found = split(module.posterior(emissions, lengths).likely_tags(threshold))
        for i, tags in enumerate(found):
            expected = [0] * LENGTHS[i]
            if LENGTHS[i]:
                each = [
                    entities(*probabilities(crf, own[i]), scheme, n_tags)
                    for crf, own in zip(crfs, columns, strict=True)
                ]
                for start, end, label in each[0]:
                    if numpy.mean([one[start, end, label] for one in each]) > threshold:
                        expected[start:end] = SCHEMES[scheme].entity(label, end - start).tolist()
                        n_found += 1
            assert tags == expected
    assert n_found > (5 if threshold < 0.9 else 0)


@pytest.mark.parametrize(("scheme", "n_tags"), SIZES)
@pytest.mark.parametrize("seed", range(10))
def test_a_half_expects_the_fewest_errors(scheme: str, n_tags: int, seed: int) -> None:
    """Among all sets of entities that do not overlap, those by the best tags included."""
    crf, text = random_crf(n_tags, scheme=scheme), random_texts(n_tags, seed, 2.0)[0]
    sequences, p = probabilities(crf, text)
    of_spans = entities(sequences, p, scheme, n_tags)
    emissions, lengths = torch.from_numpy(text), torch.tensor([len(text)])

    def risk(spans) -> float:
        """The expected number of entities that are wrong, and of those that are missing."""
        wrong = sum(1 - of_spans[span] for span in spans)
        return wrong + sum(value for span, value in of_spans.items() if span not in spans)

    def spans_of(tags) -> set[tuple[int, int, int]]:
        return set(SCHEMES[scheme].tags_to_spans(tags.numpy()))

    likely = risk(spans_of(crf.posterior(emissions, lengths).likely_tags(0.5)))
    sets = [
        chosen
        for size in range(len(text) + 1)
        for chosen in combinations(of_spans, size)
        if all(a[1] <= b[0] or b[1] <= a[0] for a, b in combinations(chosen, 2))
    ]
    assert likely == pytest.approx(min(map(risk, sets)), abs=1e-9)
    assert likely <= risk(spans_of(crf.viterbi(emissions, lengths))) + 1e-9


def test_the_best_tags_can_be_others() -> None:
    """Else the test above would pass with Viterbi's."""
    risks = []
    for seed in range(10):
        crf, text = random_crf(5), random_texts(5, seed, 2.0)[0]
        emissions, lengths = torch.from_numpy(text), torch.tensor([len(text)])
        likely = crf.posterior(emissions, lengths).likely_tags(0.5)
        risks.append(likely.tolist() != crf.viterbi(emissions, lengths).tolist())
    assert any(risks)


def test_a_long_text() -> None:
    """Probabilities are as exact at its end as in a text that begins shortly before."""
    crf = random_crf(9, torch.float32)
    rows = torch.randn(20_000, 9) + 1e4
    tags = crf.posterior(rows, torch.tensor([len(rows)])).tags
    assert (tags.sum(1) - 1).abs().max() < 1e-9
    short = crf.posterior(rows[-300:], torch.tensor([300])).tags
    torch.testing.assert_close(tags[-100:], short[-100:], atol=1e-9, rtol=0)


def layer(n_tags: int, members: int = 1):
    model = CRF(n_tags, members=members)
    model.initialize()
    for parameter in module_of(model).parameters():
        torch.nn.init.normal_(parameter)
    return model


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("size", [1.0, 1e3, 2.0**100])
def test_allowed_tags_hold_whatever_the_emissions(members: int, size: float) -> None:
    model, rng = layer(5, members), numpy.random.default_rng(0)
    texts = [rng.normal(scale=size, size=(6, 5 * members)).astype("f") for _ in range(20)]
    allowed = [rng.random((6, 5)) < 0.5 for _ in texts]
    for mask in allowed:
        mask[:, 0] = True
    allowed[3] = None
    found = likely_tags(model, texts, 0.5, allowed)
    for tags, mask in zip(found, allowed, strict=True):
        assert mask is None or mask[numpy.arange(6), tags].all()
    assert any(tags.any() for tags in found)
    assert not any(tags.any() for tags in likely_tags(model, texts, 1.0, allowed))
    # A text does not depend on its neighbours.
    for text, mask, expected in zip(texts, allowed, found, strict=True):
        (alone,) = likely_tags(model, [text], 0.5, [mask])
        assert alone.tolist() == expected.tolist()


@pytest.mark.parametrize(("scheme", "n_tags"), SIZES)
def test_probabilities_are_of_what_is_allowed(scheme: str, n_tags: int) -> None:
    """Not of all tags, with what is not allowed left out afterwards."""
    rng, n_other = numpy.random.default_rng(0), 0
    for seed in range(20):
        crf, text = random_crf(n_tags, scheme=scheme), random_texts(n_tags, seed, 2.0)[2]
        mask = rng.random(text.shape) < 0.5
        mask[:, 0] = True
        expected, afterwards = numpy.zeros((2, len(text)), dtype=int)
        for tags, allowed in ((expected, mask), (afterwards, None)):
            spans = entities(*probabilities(crf, text, allowed), scheme, n_tags)
            for (start, end, label), p in spans.items():
                own = SCHEMES[scheme].entity(label, end - start)
                if p > 0.5 and mask[range(start, end), own].all():
                    tags[start:end] = own
        (found,) = likely_tags(as_layer(crf), [text.astype("f")], 0.5, [mask])
        assert found.tolist() == expected.tolist()
        n_other += expected.tolist() != afterwards.tolist()
    assert n_other > 0


@pytest.mark.parametrize(("scheme", "n_tags"), SIZES)
def test_no_probability_is_above_one(scheme: str, n_tags: int) -> None:
    for seed in range(20):
        crf, texts = random_crf(n_tags, scheme=scheme), random_texts(n_tags, seed, 300.0)
        posterior = crf.posterior(*flat(texts))
        sure = posterior.likely_tags(0.999)
        spans = SCHEMES[scheme].tags_to_spans(sure.numpy())
        assert (posterior.of_spans(spans) <= 1).all()
        assert not posterior.likely_tags(1.0).any()


def test_no_tokens() -> None:
    model = layer(5)
    empty = numpy.zeros((0, 5), "f")
    assert [tags.shape for tags in likely_tags(model, [empty] * 3, 0.5)] == [(0,)] * 3
    assert span_probabilities(model, empty, []) == []
