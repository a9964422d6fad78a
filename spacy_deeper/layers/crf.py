from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from spacy.util import registry
from thinc.api import Model, torch2xp
from thinc.types import Floats1d, Floats2d, Ints1d

from ..compat import xp2torch
from ..schemes import SCHEMES, Scheme
from .torch_layer import (
    call_module,
    check_choice,
    check_positive,
    module_of,
    shim_of,
    split_rows,
    torch_layer,
)


@registry.layers("spacy_deeper.CRF.v1")
def CRF(
    nO: int | None = None, scheme: str = "bio", members: int = 1
) -> Model[tuple[list[Floats2d], list[Ints1d]], Floats1d]:
    """A linear-chain CRF over entity tags, on pytorch-crf.

    As a layer it maps emissions (n, members · K) and gold tags (n,) of each text to the texts'
    negative log-likelihoods (B,); a tag of -1 is unknown and summed over. `viterbi` decodes.

    nO (Optional[int]): The number of tags K; known once the labels are.
    scheme (str): What the tags are, "bio" or "bilou".
    members (int): How many CRFs there are, each with its own columns of emissions (n, members · K):
        a committee. They learn side by side, and decide together.
    """
    check_choice("scheme", scheme, SCHEMES)
    check_positive(members=members)
    model = torch_layer("crf", partial(build, members=members), forward, init=init, dims={"nO": nO})
    model.attrs.update(scheme=scheme, members=members)
    return model


def build(members: int, **sizes: Any) -> Any:
    from .pytorch.crf import CRFCommittee, EntityCRF

    return EntityCRF(**sizes) if members == 1 else CRFCommittee(members, **sizes)


def init(model: Model, X: Any = None, Y: Any = None) -> None:
    if model.has_dim("nO"):
        shim_of(model).build(nO=model.get_dim("nO"), scheme=model.attrs["scheme"])


def scheme_of(model: Model) -> Scheme:
    """Return the scheme of a `CRF` layer's tags."""
    return SCHEMES[model.attrs["scheme"]]


def forward(
    model: Model, inputs: tuple[list[Floats2d], list[Ints1d]], is_train: bool
) -> tuple[Floats1d, Callable[[Floats1d], list[Floats2d]]]:
    import torch

    emissions, tags = inputs
    xp = model.ops.xp
    sizes = [len(rows) for rows in emissions]
    loss, bp_module = call_module(
        model,
        is_train,
        xp.concatenate(emissions),
        xp.concatenate(tags),
        torch.tensor(sizes, dtype=torch.int64),
    )

    def backprop(d_loss: Floats1d) -> list[Floats2d]:
        return split_rows(model, bp_module(d_loss)[0], sizes)

    return loss, backprop


def viterbi(
    model: Model,
    emissions: Sequence[Floats2d],
    allowed: Sequence[Any | None] | None = None,
) -> list[Ints1d]:
    """Return the best well-formed tags of each text.

    model: A `CRF` layer.
    emissions: (n, members · K) for each text.
    allowed: For each text None or a boolean array (n, K), the tags that its tokens may have.
    """
    return _decode(model, emissions, allowed, lambda crf, *texts: crf.viterbi(*texts))


def likely_tags(
    model: Model,
    emissions: Sequence[Floats2d],
    threshold: float,
    allowed: Sequence[Any | None] | None = None,
) -> list[Ints1d]:
    """Return the tags of each text's entities that are more probable than a threshold.

    model: A `CRF` layer.
    emissions: (n, members · K) for each text.
    threshold: 0.5 or more.
    allowed: As in `viterbi`; probabilities are of what is allowed.
    """

    def decode(crf: Any, *texts: Any) -> Any:
        return crf.posterior(*texts).likely_tags(threshold)

    return _decode(model, emissions, allowed, decode)


def _decode(
    model: Model,
    emissions: Sequence[Floats2d],
    allowed: Sequence[Any | None] | None,
    decode: Callable[[Any, Any, Any], Any],
) -> list[Ints1d]:
    """Return what `decode` finds by the torch module, flat emissions and lengths; for each text."""
    import torch

    module = module_of(model)
    xp = model.ops.xp
    sizes = [len(rows) for rows in emissions]
    if allowed is not None:
        n = model.attrs["members"]
        emissions = [
            rows if mask is None else xp.where(xp.tile(mask, (1, n)), rows, xp.float32("-inf"))
            for rows, mask in zip(emissions, allowed, strict=True)
        ]
    flat = xp2torch(xp.concatenate(emissions), device=shim_of(model).device)
    tags = decode(module, flat, torch.tensor(sizes, dtype=torch.int64))
    return split_rows(model, torch2xp(tags), sizes)


def span_probabilities(
    model: Model, emissions: Floats2d, spans: Sequence[tuple[int, int, int]]
) -> list[float]:
    """Return how probable each (start, end, label number) of a text is.

    model: A `CRF` layer.
    emissions: (n, members · K).
    """
    import torch

    if not spans:
        return []
    flat = xp2torch(emissions, device=shim_of(model).device)
    texts = module_of(model).posterior(flat, torch.tensor([len(emissions)]))
    return texts.of_spans(spans).tolist()
