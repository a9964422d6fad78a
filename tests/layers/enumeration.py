"""CRFs with random weights, texts of random emissions, and all that their tags can be."""

import re
from itertools import product

import numpy
import torch

from spacy_deeper.layers.crf import CRF
from spacy_deeper.layers.pytorch.crf import EntityCRF
from spacy_deeper.layers.torch_layer import shim_of

LENGTHS = [3, 0, 5, 1, 2, 4, 0]


def all_sequences(length: int, n_tags: int) -> numpy.ndarray:
    return numpy.array(list(product(range(n_tags), repeat=length))).reshape(-1, length)


def scores(crf: EntityCRF, emissions: numpy.ndarray, sequences: numpy.ndarray) -> numpy.ndarray:
    """The definition: start + emissions + transitions + end, for each row of tags."""
    start, end, transitions = (
        parameter.detach().numpy()
        for parameter in (crf.start_transitions, crf.end_transitions, crf.transitions)
    )
    total = start[sequences[:, 0]] + end[sequences[:, -1]]
    for t in range(sequences.shape[1]):
        total = total + emissions[t, sequences[:, t]]
        if t > 0:
            total = total + transitions[sequences[:, t - 1], sequences[:, t]]
    return total


def random_crf(n_tags: int, dtype: torch.dtype = torch.float64, scheme: str = "bio") -> EntityCRF:
    crf = EntityCRF(n_tags, scheme).to(dtype)
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    return crf


def random_texts(n_tags: int, seed: int = 0, scale: float = 1.0) -> list[numpy.ndarray]:
    rng = numpy.random.default_rng(seed)
    return [rng.normal(scale=scale, size=(length, n_tags)) for length in LENGTHS]


def flat(texts: list[numpy.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.from_numpy(numpy.concatenate(texts)),
        torch.tensor([len(text) for text in texts]),
    )


def split(tags: torch.Tensor, lengths=LENGTHS) -> list[list[int]]:
    return [part.tolist() for part in tags.split(list(lengths))]


def well_formed(tags, scheme: str = "bio") -> bool:
    """As a regular expression."""
    entities = {"bio": "12*|34*|56*", "bilou": "12*3|4|56*7|8"}[scheme]
    return re.fullmatch(f"(0|{entities})*", "".join(map(str, tags))) is not None


def as_layer(crf: EntityCRF):
    model = CRF(crf.num_tags, crf.scheme_name)
    model.initialize()
    shim_of(model).module.load_state_dict(crf.state_dict())
    return model
