import pytest

pytest.importorskip("spacy_transformers")

from spacy_deeper.models.transformer import OWN_SETTINGS, TransformerModel, replace_listener_cfg

OURS = {"@architectures": "spacy_deeper.TransformerModel.v1", "name": "bert", "casing": False}
LISTENER = {"@architectures": "spacy-transformers.TransformerListener.v1", "grad_factor": 0.5}


def test_the_config_of_a_replaced_listener() -> None:
    """`nlp.replace_listeners` makes it: a model that spacy-transformers can load."""
    found = replace_listener_cfg({**OURS, **OWN_SETTINGS}, LISTENER)
    assert found.pop("@architectures").startswith("spacy-transformers.Tok2VecTransformer.")
    assert found == {"name": "bert", "grad_factor": 0.5}


@pytest.mark.parametrize("own", [{"casing": True}, {"layers": "all"}, {"frozen_layers": 0}])
def test_what_would_be_lost(own: dict) -> None:
    with pytest.raises(ValueError, match=rf"\[D294\].*{next(iter(own))}"):
        replace_listener_cfg({**OURS, **own}, LISTENER)


def test_spacy_finds_it() -> None:
    model = TransformerModel("bert", lambda docs: [])
    assert model.attrs["replace_listener_cfg"] is replace_listener_cfg
