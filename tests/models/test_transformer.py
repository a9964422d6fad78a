"""The model of a `transformer` component, alone; tests/pipeline/test_fine_tuning.py trains it."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import transformers
from spacy.tokens import Doc
from spacy.vocab import Vocab
from spacy_transformers.span_getters import (
    configure_get_doc_spans,
    configure_strided_spans,
)
from thinc.api import reduce_mean

from spacy_deeper.models.frozen_transformer import FrozenTransformer
from spacy_deeper.models.transformer import TransformerModel


def make(path: Path, get_spans: Any = None) -> Any:
    return TransformerModel(str(path), get_spans or configure_get_doc_spans())


def test_a_window_longer_than_the_transformer_takes(tiny_transformer: Path) -> None:
    """It takes 32 word pieces, and two of them are the marks of the beginning and the end."""
    make(tiny_transformer, configure_strided_spans(30, 30)).initialize()
    with pytest.raises(ValueError, match=r"^\[D262\].* 30 word pieces.* 31 tokens"):
        make(tiny_transformer, configure_strided_spans(31, 31)).initialize()


def test_long_texts_to_initialize_with(tiny_transformer: Path, tmp_path: Path) -> None:
    """Of a tokenizer that states no limit, too."""
    path = shutil.copytree(tiny_transformer, tmp_path / "bert")
    config = path / "tokenizer_config.json"
    config.write_text(config.read_text().replace('"model_max_length": 32', '"x": 1'))
    model = make(path)
    model.initialize(X=[Doc(Vocab(), words=["a"] * 100)])
    assert model.get_dim("nO") == 8


@pytest.mark.parametrize("kind", ["Bart", "T5"])
def test_encoders_with_a_decoder(tiny_transformer: Path, tmp_path: Path, kind: str) -> None:
    path = shutil.copytree(tiny_transformer, tmp_path / kind)
    config = getattr(transformers, f"{kind}Config")(d_model=16, vocab_size=9, num_layers=1)
    getattr(transformers, f"{kind}Model")(config).save_pretrained(path)
    for model in (make(path), FrozenTransformer(str(path), reduce_mean(), window=10, stride=5)):
        with pytest.raises(ValueError, match=rf"^\[D295\] '.*{kind}'"):
            model.initialize()
