"""Parts of BERT and its like, faster on the CPU when nothing learns.

torch's attention takes the numbers of a row 16 at once, and those left over one by one, which
costs more than all others. So keys are padded to a multiple of 16. With weights of 8 bits, queries,
keys and values are one product of the three layers.
"""

from importlib import import_module
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...devices import autocasts
from .int8 import Int8Linear

LANES = 16


class SelfAttention(nn.Module):
    """What stands before `BertSdpaSelfAttention` and its like."""

    query: nn.Module
    key: nn.Module
    value: nn.Module
    num_attention_heads: int
    attention_head_size: int
    is_decoder: bool
    position_embedding_type: str
    _joined: Int8Linear | None = None

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Return what the layer does: states (B, T, W), to (B, T, W)."""
        rest = (*args, *kwargs.values())
        if not self.usual(hidden_states) or any(x is not None and x is not False for x in rest):
            return super().forward(hidden_states, attention_mask, *args, **kwargs)
        layers = self.query, self.key, self.value
        size = self.num_attention_heads, self.attention_head_size
        if not all(isinstance(layer, Int8Linear) for layer in layers):
            q, k, v = (layer(hidden_states).unflatten(-1, size) for layer in layers)
            return (attend(q, k, v, attention_mask),)
        if self._joined is None:
            # Not as a module, which would be saved.
            object.__setattr__(self, "_joined", Int8Linear.join(*cast(Any, layers)))
        qkv = cast(Int8Linear, self._joined)(hidden_states).unflatten(-1, (3, *size))
        q, k, v = qkv.unbind(2)
        return (attend(q, k, v, attention_mask),)

    def usual(self, x: Tensor) -> bool:
        """Whether it is a case that is worth it."""
        return (
            x.device.type == "cpu"
            and x.dtype == torch.float32
            and not (torch.is_grad_enabled() or self.training or autocasts())
            and not self.is_decoder
            and self.position_embedding_type == "absolute"
        )

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        object.__setattr__(self, "_joined", None)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_joined": None}  # it is made of what is there


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Return (B, T, W).

    q, k, v: (B, T, H, D). mask: What is added to scores, (B, 1, T or 1, T), or None.
    """
    B, T, _, _ = q.shape
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    extra = -T % LANES
    if extra:
        k, v = (functional.pad(x, (0, 0, 0, extra)) for x in (k, v))
        mask = q.new_zeros((B, 1, 1, T)) if mask is None else mask
        mask = functional.pad(mask, (0, extra), value=torch.finfo(mask.dtype).min)
        mask = mask.expand(B, 1, T, T + extra)
    output = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return output.transpose(1, 2).flatten(2)


class Intermediate(nn.Module):
    """What stands before `BertIntermediate` and its like."""

    dense: nn.Module
    intermediate_act_fn: Any

    def forward(self, hidden_states: Tensor) -> Any:
        """Return what the layer does."""
        gelu = getattr(self.intermediate_act_fn, "act", None) is functional.gelu
        if gelu and isinstance(self.dense, Int8Linear):
            return self.dense(hidden_states, gelu=True)
        return super().forward(hidden_states)


# What transformers' parts become, by their names; parts that it lacks stay as they are.
FASTER: dict[str, type] = {}
for family, folder in (("Bert", "bert"), ("Roberta", "roberta"), ("XLMRoberta", "xlm_roberta")):
    theirs = import_module(f"transformers.models.{folder}.modeling_{folder}")
    for kind, ours in (("SdpaSelfAttention", SelfAttention), ("Intermediate", Intermediate)):
        name = family + kind
        if hasattr(theirs, name):
            FASTER[name] = type(name, (ours, getattr(theirs, name)), {"__module__": __name__})
globals().update(FASTER)  # where pickle looks for them


def speed_up_bert(module: nn.Module) -> None:
    """Let parts of a transformer be faster; their weights stay where they are."""
    for part in module.modules():
        faster = FASTER.get(type(part).__name__)
        if faster is not None and type(part) in faster.__bases__:
            part.__class__ = faster
