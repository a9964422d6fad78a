from collections.abc import Callable
from typing import Any

from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model, chain
from thinc.types import Floats2d

from ..layers.crf import CRF
from ..layers.torch_layer import check_members, shim_of
from ..layers.two_layer_scorer import TwoLayerScorer


@registry.architectures("spacy_deeper.CRFTagger.v1")
def CRFTagger(
    tok2vec: Model[list[Doc], list[Floats2d]],
    encode: Model[list[Floats2d], list[Floats2d]],
    hidden_size: int = 64,
    activation: str = "relu",
    dropout: float | None = 0.0,
    scheme: str = "bio",
    members: int = 1,
    nO: int | None = None,
) -> Model[list[Doc], list[Floats2d]]:
    """Score the tags of each token, for a CRF: section 3.2 of Crone (2020).

    The output is the CRF's input, (tokens, tags) for each text; of a committee's members side by
    side, (tokens, members · tags). The CRF itself is the reference "crf": trained with the model,
    it turns these scores into a loss or into tags.

    tok2vec: The shared layers, usually a listener.
    encode: The NER-specific layers, e.g. `spacy_deeper.BiRNN.v1`; its depth may be 0.
    hidden_size, activation: FFNN(e1) of equation 2.
    dropout (Optional[float]): Dropout before both layers of equation 2, which the paper has not;
        None obeys `[training] dropout`.
    scheme (str): The tags: "bio", the paper's, or "bilou", which also tells an entity's last token
        and its only one from the others.
    members (int): How many taggers decide together, as a committee, each with its own columns of
        what `encode` returns; the paper has 1.
    nO (Optional[int]): The number of tags; known once the labels are.
    """
    check_members("crf_tagger", members, encode)
    scorer = TwoLayerScorer(hidden_size, activation, dropout, members, nO=nO)
    emissions: Model[list[Doc], list[Floats2d]] = chain(tok2vec, encode, scorer)
    crf = CRF(nO, scheme, members)
    return Model(
        "crf_tagger",
        forward,
        init=init,
        layers=[emissions, crf],
        dims={"nO": nO},
        refs={
            "tok2vec": tok2vec,
            "emissions": emissions,
            "output_layer": scorer,
            "crf": crf,
        },
        attrs={"resize_output": resize},
    )


def init(model: Model, X: list[Doc] | None = None, Y: Any = None) -> None:
    for name in ("output_layer", "crf"):
        if model.has_dim("nO"):
            model.get_ref(name).set_dim("nO", model.get_dim("nO"), force=True)
    model.get_ref("emissions").initialize(X=X)
    model.get_ref("crf").initialize()


def forward(
    model: Model, docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    return model.get_ref("emissions")(docs, is_train)


def resize(model: Model, nO: int) -> Model:
    """Make room for more tags; what is learned stays."""
    for name in ("output_layer", "crf"):
        layer = model.get_ref(name)
        layer.set_dim("nO", nO, force=True)
        shim_of(layer).resize(nO=nO)
    model.set_dim("nO", nO, force=True)
    return model
