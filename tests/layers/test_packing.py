import pytest
import torch
from torch.nn.utils.rnn import pack_sequence, pad_sequence

from spacy_deeper.layers.pytorch.packing import pad, time_major_order

BATCHES = [[3, 0, 5, 1, 3, 0], [2], [4, 4], [1, 2, 3]]


@pytest.mark.parametrize("lengths", BATCHES)
def test_order_is_that_of_pack_sequence(lengths: list[int]) -> None:
    rows = torch.arange(sum(lengths))
    texts = [text for text in rows.split(lengths) if len(text)]
    expected = pack_sequence(texts, enforce_sorted=False)
    order, batch_sizes, nonempty = time_major_order(torch.tensor(lengths))
    by_length = sorted((i for i, n in enumerate(lengths) if n), key=lambda i: -lengths[i])
    assert nonempty.tolist() == by_length
    assert batch_sizes.tolist() == expected.batch_sizes.tolist()
    assert sorted(order.tolist()) == rows.tolist()
    if len(set(lengths)) == len(lengths):  # with equal lengths, any order of them would do
        assert order.tolist() == expected.data.tolist()


@pytest.mark.parametrize("lengths", BATCHES)
def test_pad_is_pad_sequence(lengths: list[int]) -> None:
    rows = torch.randn(sum(lengths), 2)
    padded, mask = pad(rows, torch.tensor(lengths))
    torch.testing.assert_close(padded, pad_sequence(list(rows.split(lengths)), batch_first=True))
    torch.testing.assert_close(padded[mask], rows)
    assert mask.sum(1).tolist() == lengths


@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
def test_nothing(lengths: list[int]) -> None:
    tensor = torch.tensor(lengths, dtype=torch.int64)
    padded, mask = pad(torch.zeros(0, 2), tensor)
    assert padded.shape == (len(lengths), 0, 2)
    assert mask.shape == (len(lengths), 0)
    assert [len(part) for part in time_major_order(tensor)] == [0, 0, 0]
