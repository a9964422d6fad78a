"""Parts of BERT that are faster than transformers' own, compared with those."""

import pickle
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from spacy_deeper.layers.pytorch import bert
from spacy_deeper.layers.pytorch.bert import speed_up_bert
from spacy_deeper.layers.pytorch.quantize import quantizable_layers, to_int8

transformers = pytest.importorskip("transformers")
needs_sdpa = pytest.mark.skipif(
    "BertSdpaSelfAttention" not in bert.FASTER, reason="these transformers have another attention"
)


def random_bert(family: str = "Bert") -> Any:
    """Return a small model, large enough for 8 bits."""
    config = getattr(transformers, f"{family}Config")(
        vocab_size=50,
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=256,
    )
    return getattr(transformers, f"{family}Model")(config).eval()


def states(module: Any, lengths: list[int]) -> list[Tensor]:
    """Return the last states of random texts of so many word pieces."""
    longest = max(lengths)
    pieces = torch.randint(
        3, 50, (len(lengths), longest), generator=torch.Generator().manual_seed(0)
    )
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    with torch.no_grad():
        output = module(input_ids=pieces, attention_mask=mask.long()).last_hidden_state
    return [rows[:length] for rows, length in zip(output, lengths, strict=True)]


LENGTHS = [[5], [16, 16], [17, 3, 1], [31, 30]]


@needs_sdpa
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("family", ["Bert", "Roberta", "XLMRoberta"])
def test_states_are_the_same(family: str, lengths: list[int]) -> None:
    theirs = random_bert(family)
    ours = deepcopy(theirs)
    speed_up_bert(ours)
    replaced = [type(part) for part in ours.modules() if type(part) in bert.FASTER.values()]
    assert len(replaced) == 4  # attention and what follows it, in two layers
    for a, b in zip(states(theirs, lengths), states(ours, lengths), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@needs_sdpa
def test_training_is_the_same() -> None:
    theirs = random_bert()
    ours = deepcopy(theirs)
    speed_up_bert(ours)
    pieces = torch.randint(3, 50, (2, 7))
    for module in (theirs, ours):
        module(input_ids=pieces).last_hidden_state.square().sum().backward()
    gradients = ours.get_parameter("encoder.layer.0.attention.self.query.weight").grad
    expected = theirs.get_parameter("encoder.layer.0.attention.self.query.weight").grad
    assert torch.equal(gradients, expected)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_states_of_8_bits_are_nearly_the_same(lengths: list[int]) -> None:
    theirs = random_bert()
    to_int8(theirs, quantizable_layers(theirs))
    ours = deepcopy(theirs)
    speed_up_bert(ours)
    for a, b in zip(states(theirs, lengths), states(ours, lengths), strict=True):
        assert (a - b).abs().max() < 0.05  # of numbers around 1
        assert (a - b).abs().mean() < 0.01


@pytest.mark.parametrize("mate", [3, 20, 100])
def test_states_of_8_bits_do_not_depend_on_the_batch(mate: int) -> None:
    """A text beside a shorter, an equal and a longer one."""
    module = random_bert()
    to_int8(module, quantizable_layers(module))
    speed_up_bert(module)
    pieces = torch.randint(3, 50, (2, 100), generator=torch.Generator().manual_seed(0))
    longest = max(20, mate)
    mask = torch.arange(longest) < torch.tensor([20, mate])[:, None]
    with torch.no_grad():
        alone = module(input_ids=pieces[:1, :20]).last_hidden_state[0]
        beside = module(input_ids=pieces[:, :longest], attention_mask=mask.long())
    difference = (alone - beside.last_hidden_state[0, :20]).abs()
    # Numbers that lie between two of the 256 may fall to either side; that is rare.
    assert difference.max() < 0.02
    assert difference.mean() < 1e-4


def test_weights_are_saved_as_before_and_those_loaded_count() -> None:
    theirs = random_bert()
    to_int8(theirs, quantizable_layers(theirs))
    ours, other = deepcopy(theirs), random_bert()
    speed_up_bert(ours)
    states(ours, [5])
    assert list(ours.state_dict()) == list(theirs.state_dict())
    to_int8(other, quantizable_layers(other))
    speed_up_bert(other)
    ours.load_state_dict(other.state_dict())
    expected = states(other, [5])[0]
    for module in (ours, deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert torch.allclose(states(module, [5])[0], expected)
