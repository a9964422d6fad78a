"""Every gradient against finite differences: of the torch modules, and of the Thinc layers."""

import numpy
import pytest
import torch
from torch.autograd import gradcheck

from spacy_deeper.layers.birnn import BiRNN
from spacy_deeper.layers.char_birnn import CharBiRNN
from spacy_deeper.layers.crf import CRF
from spacy_deeper.layers.distmult import DistMult
from spacy_deeper.layers.label_embedding import LabelEmbedding
from spacy_deeper.layers.pytorch.birnn import StackedBiRNN
from spacy_deeper.layers.pytorch.char_birnn import CharBiRNN as TorchCharBiRNN
from spacy_deeper.layers.pytorch.crf import EntityCRF
from spacy_deeper.layers.pytorch.distmult import DistMult as TorchDistMult
from spacy_deeper.layers.pytorch.ffnn import TwoLayerScorer as TorchTwoLayerScorer
from spacy_deeper.layers.pytorch.members import Members
from spacy_deeper.layers.pytorch.relation_head import RelationHead as TorchRelationHead
from spacy_deeper.layers.pytorch.scalar_mix import ScalarMix as TorchScalarMix
from spacy_deeper.layers.relation_head import RelationHead
from spacy_deeper.layers.scalar_mix import ScalarMix
from spacy_deeper.layers.two_layer_scorer import TwoLayerScorer

LENGTHS = [2, 0, 3, 1]
N = sum(LENGTHS)
TAGS = torch.tensor([0, 1, 2, 4, 0, 3])
UNKNOWN = torch.tensor([0, -1, 2, -1, -1, 3])
CHARS = torch.tensor([1, 2, 2, 0, 1, 4])


@pytest.mark.parametrize(
    ("module", "shape", "others"),
    [
        (StackedBiRNN(3, 4, 1, "gru"), (N, 3), (torch.tensor(LENGTHS),)),
        (StackedBiRNN(3, 2, 2, "lstm"), (N, 3), (torch.tensor(LENGTHS),)),
        (TorchCharBiRNN(5, 3, 4, "gru"), None, (CHARS, torch.tensor(LENGTHS))),
        (TorchCharBiRNN(5, 2, 2, "lstm"), None, (CHARS, torch.tensor(LENGTHS))),
        (EntityCRF(5), (N, 5), (TAGS, torch.tensor(LENGTHS))),
        (EntityCRF(5), (N, 5), (UNKNOWN, torch.tensor(LENGTHS))),
        (TorchDistMult(4, 2), (N, 4), (torch.tensor(LENGTHS),)),
        (TorchRelationHead(4, 2, 3, "tanh"), (N, 4), (torch.tensor(LENGTHS),)),
        (TorchScalarMix(3), (N, 3, 2), ()),
        (TorchTwoLayerScorer(3, 2, 4, "gelu"), (N, 3), ()),
        (Members(lambda: StackedBiRNN(2, 2, 1, "gru"), 2, 2), (N, 3), (torch.tensor(LENGTHS),)),
        (Members(lambda: StackedBiRNN(2, 2, 1, "lstm"), 2, None), (N, 4), (torch.tensor(LENGTHS),)),
        (Members(lambda: TorchDistMult(2, 2), 2, None), (N, 4), (torch.tensor(LENGTHS),)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, torch.nn.Module) else "",
)
def test_modules(module: torch.nn.Module, shape: tuple | None, others: tuple) -> None:
    module = module.double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    rows = () if shape is None else (torch.randn(shape, dtype=torch.float64, requires_grad=True),)
    # The parameters are given to be changed in place.
    assert gradcheck(
        lambda *changed: module(*changed[: len(rows)], *others), (*rows, *module.parameters())
    )


def ragged(*shape: int, dtype: str) -> list[numpy.ndarray]:
    rng = numpy.random.default_rng(0)
    return [rng.normal(size=(n, *shape)).astype(dtype) for n in LENGTHS]


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (BiRNN(4, 1, nI=3), (3,)),
        (BiRNN(2, 2, "lstm", nI=3), (3,)),
        (TwoLayerScorer(4, "tanh", nI=3, nO=2), (3,)),
        (ScalarMix(3), (3, 2)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_layers_over_texts(check_gradients, model, shape: tuple[int, ...]) -> None:
    model.initialize()
    check_gradients(model, ragged(*shape, dtype=check_gradients.dtype), list, list)


@pytest.mark.parametrize("layer", [DistMult, RelationHead], ids=lambda layer: layer.__name__)
def test_layers_over_pairs(check_gradients, layer) -> None:
    settings = {} if layer is DistMult else {"hidden_size": 3, "activation": "tanh"}
    model = layer(nI=4, nO=2, **settings)
    model.initialize()
    entities = numpy.concatenate(ragged(4, dtype=check_gradients.dtype))
    check_gradients(model, (entities, LENGTHS), lambda X: [X[0]], lambda dX: [dX])


@pytest.mark.parametrize("tags", [TAGS, UNKNOWN], ids=["known", "unknown"])
def test_crf(check_gradients, tags: torch.Tensor) -> None:
    model = CRF(5)
    model.initialize()
    emissions = ragged(5, dtype=check_gradients.dtype)
    texts = [text.numpy() for text in tags.split(LENGTHS)]
    check_gradients(model, (emissions, texts), lambda X: X[0], list)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_char_birnn(check_gradients, make_docs, cell: str) -> None:
    model = CharBiRNN(width=4, embed_size=2, rows=11, max_chars=3, cell=cell)
    model.initialize()
    check_gradients(model, make_docs("in a in", "", "born"))


def test_label_embedding(check_gradients) -> None:
    model = LabelEmbedding(width=3, nV=5)
    model.initialize()
    check_gradients(model, numpy.array([1, 4, 1, 0]))


def test_an_update_uses_the_gradients_and_forgets_them() -> None:
    model = TwoLayerScorer(4, "tanh", nI=3, nO=2)
    model.initialize()
    texts = ragged(3, dtype="float32")
    outputs, backprop = model.begin_update(texts)
    backprop(outputs)
    seen = {}

    def optimizer(key, weights, gradient):
        seen[key[1]] = numpy.abs(gradient).max()
        return weights - 0.1 * gradient, gradient

    before = sum(float((y**2).sum()) for y in model.predict(texts))
    model.finish_update(optimizer)
    assert sum(float((y**2).sum()) for y in model.predict(texts)) < before
    assert set(seen) == {"e1.weight", "e1.bias", "e2.weight", "e2.bias"}
    assert all(seen.values())
    model.finish_update(optimizer)
    assert not any(seen.values())
