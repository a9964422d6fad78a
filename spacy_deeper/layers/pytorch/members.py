from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Members(nn.Module):
    """Copies of a module, each with weights of its own: the members of a committee.

    They stand side by side, in the columns of what goes in and of what comes out.
    """

    def __init__(self, build: Callable[[], nn.Module], n: int, split: bool = True) -> None:
        """Make the members.

        build: Returns one of them, freshly initialized.
        split: Whether each reads its own columns of an input, or all of them the whole of it.
        """
        super().__init__()
        self.members = nn.ModuleList(build() for _ in range(n))
        self.split = split

    def forward(self, *inputs: Any, **options: Any) -> Tensor:
        """Return what the members return, column beside column: (rows, n · width).

        inputs: What a member gets; matrices of floats are split, whole numbers are for all.
        """
        parts = zip(*(self._parts(x) for x in inputs), strict=True)
        outputs = [member(*own, **options) for member, own in zip(self.members, parts, strict=True)]
        return torch.cat(outputs, dim=-1)

    def _parts(self, x: Any) -> Any:
        n = len(self.members)
        if self.split and isinstance(x, Tensor) and x.is_floating_point():
            return x.chunk(n, dim=-1)
        return [x] * n


def with_members(
    build: Callable[..., nn.Module], n: int, divided: tuple[str, ...], split: bool, **sizes: Any
) -> nn.Module:
    """Build one module, or several as a committee.

    n: The number of members; 1 is the module itself.
    divided: The names of the sizes that are those of all members together.
    """
    if n == 1:
        return build(**sizes)
    own = {name: size // n if name in divided else size for name, size in sizes.items()}
    return Members(lambda: build(**own), n, split)
