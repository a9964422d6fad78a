"""What the components' default models have below their heads: spaCy's CNN, and a BiRNN layer."""

from typing import Any

from thinc.api import Config

ENCODER = """[model.tok2vec]
@architectures = "spacy.HashEmbedCNN.v2"
pretrained_vectors = null
width = 96
depth = 4
embed_size = 2000
window_size = 1
maxout_pieces = 3
subword_features = true

[model.encode]
@layers = "spacy_deeper.BiRNN.v1"
width = 128
depth = 1
"""


def default_model(head: str) -> dict[str, Any]:
    """Return the config of a default model, whose [model] section and own parts are `head`."""
    return Config().from_str(f"{head}\n{ENCODER}")["model"]
