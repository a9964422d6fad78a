from spacy.language import Language
from thinc.api import Model

from ..errors import Errors


def check_committee(nlp: Language | None) -> None:
    """Raise if the members' share of the embedding is not what is their own in it.

    A component that has both, the `tok2vec`, was built of parts that know nothing of each other.
    """
    for _, pipe in [] if nlp is None else nlp.pipeline:
        model = getattr(pipe, "model", None)
        nodes = list(model.walk()) if isinstance(model, Model) else []
        shares = [node.attrs["own_columns"] for node in nodes if "own_columns" in node.attrs]
        for node in nodes:
            own = node.attrs.get("own_input")
            if shares and own not in (None, shares[0]) and node.attrs["members"] > 1:
                raise ValueError(Errors.D229.format(own=own, width=shares[0]))
