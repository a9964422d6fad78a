"""A committee: several networks above one embedding, with the same config and one pipeline."""

from itertools import product

import numpy
import pytest
import spacy
import torch
from scipy.special import expit, logit
from spacy.tokens import Span
from thinc.api import Model, noop

from spacy_deeper.layers.birnn import BiRNN
from spacy_deeper.layers.casing import CASINGS
from spacy_deeper.layers.char_birnn import CharBiRNN
from spacy_deeper.layers.crf import CRF, viterbi
from spacy_deeper.layers.distmult import DistMult
from spacy_deeper.layers.pytorch import quantize as layers
from spacy_deeper.layers.pytorch.fast_gru import GRU
from spacy_deeper.layers.pytorch.relation_head import RelationHead as TorchRelationHead
from spacy_deeper.layers.relation_head import RelationHead
from spacy_deeper.layers.torch_layer import module_of
from spacy_deeper.models.relation_model import RelationModel, together
from spacy_deeper.quantization import quantize

from .joint import build, ents_of, fit, pair, same, start, step, torch_modules

N, WIDTH, CHARS = 2, 32, 16


def committee(docs, n=N, entity="ends", context="between", **settings):
    """A committee in which each member has the sizes of a single pipeline of `start`."""
    encoders = {name: {"members": n} for name in ("tok2vec", "crf_ner", "relation_scorer")}
    encoders["tok2vec"]["own_input"] = n * CHARS
    overrides = {name: {"model": {"encode": more}} for name, more in encoders.items()}
    overrides["tok2vec"]["model"]["embed"] = {"char": {"members": n, "width": n * CHARS}}
    overrides["crf_ner"]["model"]["members"] = n
    head = {"members": n, "context": context, "distance": True, "type_pairs": True}
    overrides["relation_scorer"]["model"] |= {"head": head, "entity": entity}
    return start(docs, width=n * WIDTH, overrides={"components": overrides}, **settings)


def member(docs, nlp, number, entity="ends", context="between"):
    """The pipeline of one member, with its weights."""
    single, examples = committee(docs, 1, entity, context)
    for name in single.pipe_names:
        modules = zip(*(torch_modules(x.get_pipe(name).model) for x in (single, nlp)), strict=True)
        for own, common in modules:
            prefix = f"members.{number}."
            state = common.state_dict()
            if any(key.startswith(prefix) for key in state):
                state = {k.removeprefix(prefix): v for k, v in state.items() if prefix in k}
                state = {k: in_order(k, v) for k, v in state.items()}
            elif isinstance(common, torch.nn.Embedding) and name == "relation_scorer":
                state = {"weight": state["weight"].chunk(N, dim=1)[number]}
            own.load_state_dict(state)
    return single, examples


def in_order(key, value):
    """A single pipeline's first layer reads characters and casing the other way round."""
    first = "weight_ih" in key and value.shape[1] == len(CASINGS) + CHARS
    return value.roll(-len(CASINGS), dims=1) if first else value


def gradients_of(nlp, name):
    return [dict(module.named_parameters()) for module in torch_modules(nlp.get_pipe(name).model)]


@pytest.mark.parametrize("entity", ["final", "ends", "max"])
@pytest.mark.parametrize("context", ["between", None])
def test_it_learns_as_its_members_alone_would(docs, entity, context):
    nlp, examples = committee(docs, entity=entity, context=context)
    losses = step(nlp, examples)
    singles = [member(docs, nlp, i, entity, context) for i in range(N)]
    single_losses = [step(*single) for single in singles]
    for name in ("crf_ner", "relation_scorer"):
        mean = numpy.mean([own[name] for own in single_losses])
        assert losses[name] == pytest.approx(mean, rel=1e-5)
    compared = 0
    for name in nlp.pipe_names:
        for number, module in enumerate(gradients_of(nlp, name)):
            own = [gradients_of(single, name)[number] for single, _ in singles]
            for key, parameter in module.items():
                _, i, own_key = key.split(".", 2) if "members" in key else ("", None, key)
                if i is not None:
                    expected = own[int(i)][own_key].grad / N
                else:  # embeddings of tags
                    assert name == "relation_scorer"
                    expected = torch.cat([p[key].grad for p in own], dim=1) / N
                grad = in_order(key, parameter.grad)
                torch.testing.assert_close(grad, expected, atol=1e-6, rtol=1e-4)
                compared += float(expected.abs().max()) > 1e-6
    assert compared > 20


def test_it_decides_by_the_mean_of_its_members(docs):
    nlp, _ = committee(docs)
    singles = [member(docs, nlp, i)[0] for i in range(N)]
    texts = [doc.text for doc in docs]
    # Gold entities for all: what the relation scorer says is compared alone.
    scorers = [x.get_pipe("relation_scorer") for x in (nlp, *singles)]
    found = []
    for x, scorer in zip((nlp, *singles), scorers, strict=True):
        with x.select_pipes(enable=["tok2vec"]):
            made = [x(text) for text in texts]
        for doc, gold in zip(made, docs, strict=True):
            doc.set_ents([Span(doc, e.start, e.end, label=e.label_) for e in gold.ents])
        found.append(scorer.predict(made))
    compared = 0
    for mine, *others in zip(*found, strict=True):
        pairs = ~numpy.eye(len(mine), dtype=bool)
        expected = expit(numpy.mean([logit(p[pairs]) for p in others], axis=0))
        numpy.testing.assert_allclose(mine[pairs], expected, atol=1e-5)
        compared += mine[pairs].size
    assert compared > 100


def test_the_mean_of_logits_is_taken_member_by_member():
    rng = numpy.random.default_rng(0)
    members = rng.normal(size=(3, 4, 4, 5))
    side_by_side = numpy.concatenate(members, axis=2)
    numpy.testing.assert_allclose(together(side_by_side, 5), members.mean(axis=0))
    assert together(side_by_side, 15) is side_by_side


def best(sequences, p):
    return sequences[p.argmax()].tolist()


@pytest.mark.parametrize("seed", range(5))
def test_the_best_tags_are_those_of_the_geometric_mean(docs, seed):
    """The probability of all tags of a text, by trying all: normalized, a product of powers."""
    nlp, _ = committee(docs, seed=seed)
    crf = nlp.get_pipe("crf_ner").model.get_ref("crf")
    module = module_of(crf)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    n_tags, length = crf.get_dim("nO"), 3
    emissions = numpy.random.default_rng(seed).normal(size=(length, N * n_tags)).astype("f")
    sequences = torch.tensor(list(product(range(n_tags), repeat=length)))
    log_p = 0
    for i, own in enumerate(module.members):
        rows = torch.from_numpy(emissions[:, i * n_tags : (i + 1) * n_tags])
        repeated = rows.repeat(len(sequences), 1)
        lengths = torch.full((len(sequences),), length)
        log_p = log_p - own(repeated, sequences.ravel(), lengths) / N
    p = torch.softmax(log_p.detach(), 0)
    # The best tags: well-formed, and allowed.
    labels = (sequences + 1).div(2, rounding_mode="floor")
    opened = labels[:, 1:] == labels[:, :-1]
    goes_on = (sequences[:, 1:] > 0) & (sequences[:, 1:] % 2 == 0)
    legal = (opened | ~goes_on).all(1) & ~((sequences[:, 0] > 0) & (sequences[:, 0] % 2 == 0))
    mask = numpy.ones((length, n_tags), dtype=bool)
    assert viterbi(crf, [emissions])[0].tolist() == best(sequences[legal], p[legal])
    mask[range(length), best(sequences[legal], p[legal])] = False
    legal &= torch.from_numpy(mask[range(length), sequences]).all(1)
    assert viterbi(crf, [emissions], [mask])[0].tolist() == best(sequences[legal], p[legal])


def test_it_learns_by_heart_is_saved_and_grows(docs, tmp_path):
    nlp, examples = committee(docs)
    fit(nlp, examples, 100)
    texts = [doc.text for doc in docs]
    before = list(nlp.pipe(texts))
    scores = nlp.evaluate(pair(nlp, docs))
    assert min(scores["ents_micro_f"], scores["rel_micro_f"]) > 0.9
    assert all(0.5 < p <= 1 for p in nlp.get_pipe("crf_ner").entity_scores(before[0]))
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    for got, expected in zip(loaded.pipe(texts), before, strict=True):
        same(got, expected)
    # One by one: no text depends on the others of its batch.
    for text, expected in zip(texts, before, strict=True):
        same(loaded(text), expected, 1e-5)
    loaded.get_pipe("crf_ner").add_label("SHIP")
    loaded.get_pipe("relation_scorer").add_entity_label("SHIP")
    for module in torch_modules(loaded.get_pipe("crf_ner").model):
        for key, value in module.state_dict().items():  # what is new is never chosen
            if key.endswith("e2.bias"):
                value[-2:] = -1e3
    for got, expected in zip(loaded.pipe(texts), before, strict=True):
        same(got, expected, 1e-5)


def test_docs_without_entities_and_without_tokens(docs):
    nlp, _ = committee(docs)
    none = nlp.make_doc("There is nobody.")
    none.set_ents([])
    none._.relations = []
    losses = step(nlp, pair(nlp, [none, none]))
    assert losses["relation_scorer"] == 0
    assert losses["crf_ner"] > 0
    scorer = nlp.get_pipe("relation_scorer").model
    head = [
        p for module in torch_modules(scorer.get_ref("output_layer")) for p in module.parameters()
    ]
    assert not any(p.grad is not None and p.grad.any() for p in head)
    empty = nlp.make_doc("")
    empty._.relations = []
    step(nlp, pair(nlp, [empty, docs[0], none]))
    assert [len(doc) for doc in nlp.pipe(["", "Nobody."])] == [0, 2]
    assert together(numpy.zeros((0, 0, 4)), 2).shape == (0, 0, 2)


@pytest.mark.parametrize(
    ("cell", "head", "scheme", "epochs"),
    [("lstm", "RelationHead", "bio", 100), ("gru", "DistMult", "bilou", 140)],
)
def test_other_cells_heads_and_schemes(docs, cell, head, scheme, epochs):
    tagger = {"encode": {"members": N}, "members": N, "scheme": scheme}
    heads = {
        "RelationHead": {"@layers": "spacy_deeper.RelationHead.v1", "members": N},
        "DistMult": {"@layers": "spacy_deeper.DistMult.v1", "members": N},
    }
    scorer = {"encode": {"members": N}, "head": heads[head]}
    embedding = {"encode": {"members": N, "own_input": 0}}
    models = {"tok2vec": embedding, "crf_ner": tagger, "relation_scorer": scorer}
    overrides = {"components": {name: {"model": model} for name, model in models.items()}}
    nlp, examples = start(docs, width=N * WIDTH, cell=cell, overrides=overrides)
    tagger, scorer = nlp.get_pipe("crf_ner"), nlp.get_pipe("relation_scorer")
    kinds = [
        type(module)
        for pipe in (tagger, scorer)
        for x in torch_modules(pipe.model)
        for module in x.modules()
    ]
    assert kinds.count(torch.nn.LSTM if cell == "lstm" else GRU) == 2 * N
    assert (TorchRelationHead in kinds) == (head == "RelationHead")
    tags = {"bio": 2, "bilou": 4}[scheme]
    assert tagger.model.get_ref("crf").get_dim("nO") == 1 + tags * len(tagger.labels)
    first = step(nlp, examples)
    fit(nlp, examples, epochs)
    last = step(nlp, examples)
    assert all(last[name] < 0.5 * first[name] for name in ("crf_ner", "relation_scorer"))
    texts = ["", " ", "Oslo", *(doc.text for doc in docs)]
    found = list(nlp.pipe(texts))
    for text, doc in zip(texts, found, strict=True):
        same(doc, nlp(text), 1e-5)
    assert sum(len(doc.ents) for doc in found) > len(docs)
    assert any(doc._.relations for doc in found)


def test_deciding_draws_no_random_numbers(docs):
    """Else a training would depend on how often it is evaluated."""
    nlp, _ = committee(docs)
    before = torch.random.get_rng_state()
    list(nlp.pipe([doc.text for doc in docs]))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_entities_that_are_there_stay(docs):
    nlp, _ = committee(docs)
    doc = nlp.make_doc(docs[0].text)
    doc.set_ents([Span(doc, 0, 2, label="Loc")], default="unmodified")
    for _, pipe in nlp.pipeline:
        doc = pipe(doc)
    assert ("Loc", 0, 2) in [(ent.label_, ent.start, ent.end) for ent in doc.ents]


def test_its_weights_can_have_8_bits(docs, monkeypatch):
    monkeypatch.setattr(layers, "MIN_WEIGHTS", 1)  # small as it is
    nlp, examples = committee(docs)
    fit(nlp, examples, 60)
    texts = [doc.text for doc in docs]
    before = [ents_of(doc) for doc in nlp.pipe(texts)]
    quantize(nlp)
    after = [ents_of(doc) for doc in nlp.pipe(texts)]
    assert sum(a == b for a, b in zip(after, before, strict=True)) > 0.8 * len(texts)


@pytest.mark.parametrize(
    "make",
    [
        lambda: BiRNN(width=30, depth=1, members=4),
        lambda: BiRNN(width=32, depth=1, members=4, nI=30).initialize(),
        lambda: BiRNN(width=32, depth=1, members=4, own_input=6, nI=30).initialize(),
        lambda: CharBiRNN(width=30, members=4),
        lambda: DistMult(members=4, nI=30, nO=2).initialize(),
        lambda: RelationHead(members=4, nI=30, nO=2).initialize(),
    ],
)
def test_a_width_without_equal_shares(make):
    with pytest.raises(ValueError, match="equal shares for 4 members"):
        make()


@pytest.mark.parametrize("make", [CRF, DistMult, lambda members: BiRNN(32, 1, members=members)])
def test_a_committee_of_none(make):
    with pytest.raises(ValueError, match="members is 1 or more"):
        make(members=0)


@pytest.mark.parametrize("own_input", [-1, 33])
def test_a_share_that_can_not_be(own_input):
    with pytest.raises(ValueError, match=f"own_input of a BiRNN is {own_input}"):
        BiRNN(width=32, depth=1, members=2, own_input=own_input, nI=32).initialize()


def test_nothing_to_share_out():
    """Without characters: all members read all of it."""
    model = BiRNN(width=8, depth=1, members=2, own_input=0, nI=3)
    model.initialize()
    assert [m.layers[0].input_size for m in module_of(model).members] == [3, 3]
    assert model.predict([numpy.ones((2, 3), "f")])[0].shape == (2, 8)


def test_no_shared_layer():
    with pytest.raises(ValueError, match="A committee needs a shared layer"):
        BiRNN(width=32, depth=0, members=2, own_input=0)


@pytest.mark.parametrize("char", [None, {"members": 1}, {"members": 2, "width": 8}])
@pytest.mark.parametrize("pipeline", [["tok2vec", "crf_ner"], ["tok2vec", "relation_scorer"]])
def test_a_share_of_other_columns_than_the_characters(docs, pipeline, char):
    encode, embed = {"members": N, "own_input": N * CHARS}, {"char": char}
    model = {"encode": encode, "embed": embed}
    with pytest.raises(ValueError, match=f"own_input of a BiRNN is {N * CHARS}, and must be"):
        start(docs, pipeline=pipeline, overrides={"components": {"tok2vec": {"model": model}}})
    encode["own_input"] = 8 if char and char["members"] == N else 0
    start(docs, pipeline=pipeline, overrides={"components": {"tok2vec": {"model": model}}})


@pytest.mark.parametrize("name", ["crf_ner", "relation_scorer"])
def test_layers_of_different_committees(name):
    more = {"model": {"encode": {"members": 2}}}
    with pytest.raises(ValueError, match="1 members, and its encode 2"):
        build(overrides={"components": {name: more}})


def test_a_head_of_ones_own(docs):
    """It has no members, and need not say so."""
    head = Model("mine", lambda model, X, is_train: (X, lambda dX: dX), dims={"nO": None})
    assert RelationModel(noop(), noop(), head).attrs["members"] == 1


def test_one_member_is_the_paper_network(docs):
    nlp, _ = start(docs)
    names = {
        key
        for name in nlp.pipe_names
        for module in torch_modules(nlp.get_pipe(name).model)
        for key in module.state_dict()
    }
    some = {"embed.weight", "layers.0.weight_ih_l0", "transitions", "distmult.diagonals"}
    assert some <= names
    assert not any("members" in key for key in names)
