from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model, concatenate
from thinc.types import Floats2d

from ..errors import Errors

EmbedT = Model[list[Doc], list[Floats2d]]


@registry.architectures("spacy_deeper.JointEmbed.v1")
def JointEmbed(
    contextual: EmbedT | None = None,
    static: EmbedT | None = None,
    char: EmbedT | None = None,
    casing: EmbedT | None = None,
) -> EmbedT:
    """Embed tokens by equation 1 of Crone (2020): v = t_elmo ∘ t_glove ∘ t_char ∘ t_casing.

    Each part is optional and maps docs to an array (tokens, width) for each.

    contextual: A contextual encoder, e.g. `spacy_deeper.FrozenTransformer.v1`.
    static: Word vectors, e.g. `spacy_deeper.StaticVectors.v1`.
    char: A word's characters, e.g. `spacy_deeper.CharBiRNN.v1`.
    casing: `spacy_deeper.Casing.v1`.
    """
    parts = [part for part in (contextual, static, char, casing) if part is not None]
    if not parts:
        raise ValueError(Errors.D205)
    return concatenate(*parts)
