"""How deep in a transformer a parameter lies, told by its name."""

import re

# A parameter of one of an encoder's layers, and one of what is below them.
LAYER = re.compile(r"(?:^|\.)(?:layers?|albert_layers|h|block)\.(\d+)\.")
BELOW = re.compile(r"embed|(?:^|\.)(?:w[tp]e|shared)\.")
EMBEDDINGS = -1


def depth(name: str) -> int | None:
    """Return the number of the layer, EMBEDDINGS for what is below all, None for what is above."""
    if found := LAYER.search(name):
        return int(found[1])
    return EMBEDDINGS if BELOW.search(name) else None
