from typing import Any

from spacy.language import Language
from spacy.util import registry

from ..layers.cached import frozen_layers


@registry.callbacks("spacy_deeper.use_caches.v1")
def make_use_caches() -> Any:
    """Create a callback for `[initialize.after_init]` that lets frozen encoders use their caches.

    Only a training with the encoder's component among `frozen_components` needs it: the others
    are recognized as trainings by their updates.
    """
    return use_caches


def use_caches(nlp: Language) -> Language:
    """Let the frozen encoders of a pipeline use their caches from now on, for all they predict."""
    for layer in frozen_layers(nlp):
        layer.cache.activate(layer.layers[0])
        layer.cache.writes_all = True
    return nlp
