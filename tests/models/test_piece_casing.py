"""Casing told to a transformer that reads all in lower case."""

from pathlib import Path

import numpy
import pytest
import spacy
from spacy.language import Language
from thinc.api import Config

from spacy_deeper.layers.casing import CASINGS
from spacy_deeper.models.piece_casing import N_TYPES, piece_types

pytest.importorskip("spacy_transformers")

CONFIG = """
[model]
@architectures = "spacy_deeper.TransformerModel.v1"
casing = true
frozen_layers = 0

[model.get_spans]
@span_getters = "spacy-transformers.strided_spans.v1"
window = 6
stride = 4
"""
TEXTS = ["ab AB Ab 12 aB .", "ab ab ab 12 ab .", "", "x y z X Y Z x y"]


def pipeline(path: Path, **settings) -> Language:
    nlp = spacy.blank("en")
    config = Config().from_str(CONFIG)["model"]
    nlp.add_pipe("transformer", config={"model": {**config, "name": str(path), **settings}})
    nlp.initialize()
    return nlp


def network(nlp: Language):
    return nlp.get_pipe("transformer").model.transformer


def outputs(nlp: Language) -> list[numpy.ndarray]:
    return [nlp(text)._.trf_data.model_output.last_hidden_state for text in TEXTS if text]


def test_types_are_the_classes_of_casing() -> None:
    """Counted from 1: type 0 is left for what stands for no text, such as [CLS] and padding."""
    texts = ["NATO said 4,50x", "Oslo"]
    offsets = numpy.array(
        [
            [(0, 0), (0, 4), (5, 9), (10, 15), (10, 11), (0, 0)],
            [(0, 0), (0, 2), (2, 4), (0, 0), (0, 0), (0, 0)],
        ]
    )
    types = piece_types(texts, offsets)
    names = [["", *CASINGS][number] for number in types[0]]
    assert names == ["", "all_upper", "all_lower", "mostly_numeric", "numeric", ""]
    names = [["", *CASINGS][number] for number in types[1]]
    assert names == ["", "initial_upper", "all_lower", "", "", ""]


def test_an_untrained_transformer_is_as_it_was(tiny_transformer: Path) -> None:
    with_casing, without = pipeline(tiny_transformer), pipeline(tiny_transformer, casing=False)
    assert network(with_casing).embeddings.token_type_embeddings.num_embeddings == N_TYPES
    for mine, plain in zip(outputs(with_casing), outputs(without), strict=True):
        numpy.testing.assert_array_equal(mine, plain)


@pytest.mark.parametrize("loaded", [False, True])
def test_what_is_learned_is_read(tiny_transformer: Path, tmp_path: Path, loaded: bool) -> None:
    """Of two texts that differ in nothing else, alone and in a batch, and in a loaded pipeline."""
    nlp = pipeline(tiny_transformer)
    upper, lower, *_ = outputs(nlp)
    numpy.testing.assert_array_equal(upper, lower)
    weight = network(nlp).embeddings.token_type_embeddings.weight
    weight.data[1 + CASINGS.index("all_upper")].normal_()
    if loaded:
        nlp.to_disk(tmp_path)
        nlp = spacy.load(tmp_path)
    upper, lower, *_ = alone = outputs(nlp)
    assert abs(upper - lower).max() > 0.1
    docs = list(nlp.pipe(TEXTS))
    for one, doc in zip(alone, (doc for doc in docs if len(doc)), strict=True):
        for row, plain in zip(doc._.trf_data.model_output.last_hidden_state, one, strict=True):
            n_pieces = min(len(row), len(plain))
            numpy.testing.assert_allclose(row[:n_pieces], plain[:n_pieces], atol=1e-5)


def test_it_is_learned_where_the_embeddings_are_frozen(tiny_transformer: Path) -> None:
    learned = {
        name
        for name, value in network(pipeline(tiny_transformer)).named_parameters()
        if name.startswith("embeddings.") and value.requires_grad
    }
    assert learned == {"embeddings.token_type_embeddings.weight"}
    others = network(pipeline(tiny_transformer, casing=False)).named_parameters()
    assert not any(value.requires_grad for name, value in others if name.startswith("embeddings."))


def test_a_transformer_without_types(tiny_transformer: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.DistilBertConfig(vocab_size=300, dim=8, n_layers=1, n_heads=1)
    transformers.DistilBertModel(config).save_pretrained(tmp_path)
    tokenizer = transformers.DistilBertTokenizerFast.from_pretrained(tiny_transformer)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"\[D292\] DistilBertModel has no embedding"):
        pipeline(tmp_path)


def test_a_tokenizer_without_offsets(tiny_transformer: Path) -> None:
    with pytest.raises(ValueError, match=r"\[D293\]"):
        pipeline(tiny_transformer, tokenizer_config={"use_fast": False})


def test_it_is_off_unless_asked_for(tiny_transformer: Path) -> None:
    nlp = spacy.blank("en")
    config = Config().from_str(CONFIG)["model"] | {"name": str(tiny_transformer)}
    del config["casing"]
    nlp.add_pipe("transformer", config={"model": config})
    nlp.initialize()
    assert network(nlp).embeddings.token_type_embeddings.num_embeddings == 2
