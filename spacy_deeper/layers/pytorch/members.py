from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor, nn


class Members(nn.Module):
    """Copies of a module, each with weights of its own: the members of a committee.

    They stand side by side, in the columns of what goes in and of what comes out.
    """

    def __init__(self, build: Callable[[], nn.Module], n: int, own: int | None) -> None:
        """Make the members.

        build: Returns one of them, freshly initialized.
        own: How many of the last columns of an input are shared out, in equal parts; all members
            read the others. None shares all of them out.
        """
        super().__init__()
        self.members = nn.ModuleList(build() for _ in range(n))
        self.own = own

    def forward(self, *inputs: Any, **options: Any) -> Tensor:
        """Return what the members return, column beside column: (rows, n · width).

        inputs: What a member gets; matrices of floats are split, whole numbers are for all: those
            of the modules that there are, which take lengths, tags and places.
        """
        parts = zip(*map(self._parts, inputs), strict=True)
        outputs = [member(*own, **options) for member, own in zip(self.members, parts, strict=True)]
        return torch.cat(outputs, dim=-1)

    def _parts(self, x: Any) -> Any:
        n = len(self.members)
        if not (isinstance(x, Tensor) and x.is_floating_point()):
            return [x] * n
        if self.own is None:
            return x.chunk(n, dim=-1)
        common, own = x.tensor_split([x.shape[-1] - self.own], dim=-1)
        return (torch.cat([common, part], dim=-1) for part in own.chunk(n, dim=-1))


def with_members(
    build: Callable[..., nn.Module], n: int, divided: Collection[str], **sizes: Any
) -> nn.Module:
    """Build one module, or several as a committee.

    n: The number of members; 1 is the module itself.
    divided: The names of the sizes that are those of all members together.
    """
    if n == 1:
        return build(**sizes)
    own = {name: size // n if name in divided else size for name, size in sizes.items()}
    return Members(lambda: build(**own), n, None)
