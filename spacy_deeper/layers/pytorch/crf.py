from collections.abc import Sequence
from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn
from torchcrf import CRF

from ...schemes import SCHEMES, Scheme
from .packing import pad, time_major_order
from .posterior import Posterior

# The score of what a likelihood leaves out: exp() of it is 0 in fp32, and its gradient is finite.
FORBIDDEN = -1e4


class EntityCRF(CRF):
    """A linear-chain CRF over entity tags: pytorch-crf's parameters and likelihood, and beside them
    texts that are tagged in part, and decoding that is well-formed by construction.

    Tags are numbered as in `spacy_deeper.schemes`.
    """

    def __init__(self, nO: int, scheme: str = "bio") -> None:
        super().__init__(nO, batch_first=True)
        self.scheme_name = scheme  # the module itself could not be pickled

    @property
    def scheme(self) -> Scheme:
        """How entities are written as tags."""
        return SCHEMES[self.scheme_name]

    def forward(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Return each text's negative log-likelihood, (B,): log Z - score(tags).

        A text with unknown tags (-1) has the marginal likelihood of what is known:
        log Z - log Z(restricted to the known tags).

        emissions: (N, K). tags: (N,). lengths: (B,), tokens per text.
        """
        losses = emissions.new_zeros(len(lengths))
        texts = torch.nonzero(lengths > 0)[:, 0].to(emissions.device)
        if len(texts) == 0:
            return losses
        padded, mask = pad(emissions, lengths[lengths > 0])
        padded_tags = pad(tags, lengths[lengths > 0])[0]
        if (tags >= 0).all():
            values = -super().forward(padded, padded_tags, mask, reduction="none")
        else:
            one_hot = torch.nn.functional.one_hot(padded_tags.clamp(min=0), self.num_tags).bool()
            allowed = one_hot | (padded_tags < 0)[..., None]
            known = padded.masked_fill(~allowed, FORBIDDEN)
            values = self.log_partition(padded, mask) - self.log_partition(known, mask)
        return losses.index_put((texts,), values)

    def log_partition(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return log Z, (B,), of emissions (B, T, K) under mask (B, T)."""
        return self._compute_normalizer(emissions.transpose(0, 1), mask.transpose(0, 1))

    @torch.no_grad()
    def posterior(self, emissions: Tensor, lengths: Tensor) -> Posterior:
        """Return how probable well-formed tags of texts are.

        emissions: (N, K). lengths: (B,), tokens per text, on the CPU.
        """
        return posterior_of([self], emissions, lengths)

    @torch.no_grad()
    def viterbi(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Return the best well-formed tags, (N,), of emissions (N, K).

        Steps once through time for the whole batch, forwards and backwards; texts that are over
        have no part in it.

        lengths: (B,), tokens per text, on the CPU.
        """
        if len(emissions) == 0:
            return torch.zeros(0, dtype=torch.int64, device=emissions.device)
        device = emissions.device
        legal = torch.from_numpy(self.scheme.legal_transitions(self.num_tags)).to(device)
        starts = torch.from_numpy(self.scheme.legal_starts(self.num_tags)).to(device)
        ends = torch.from_numpy(self.scheme.legal_ends(self.num_tags)).to(device)
        transitions = self.transitions.masked_fill(~legal, -torch.inf)
        # Time by time, the longest text first: those that go on are always the first ones.
        order, batch_sizes, _ = time_major_order(lengths)
        order = order.to(device)
        first, *others = emissions[order].split(batch_sizes.tolist())
        score = self.start_transitions.masked_fill(~starts, -torch.inf) + first
        history = []
        for step in others:
            n = len(step)
            best, previous = (score[:n, :, None] + transitions).max(dim=1)
            score[:n] = best + step
            history.append(previous)
        tag = (score + self.end_transitions.masked_fill(~ends, -torch.inf)).argmax(dim=1)
        backwards = []
        for previous in reversed(history):
            n = len(previous)
            backwards.append(tag[:n].clone())
            tag[:n] = previous.gather(1, tag[:n, None])[:, 0]
        tags = torch.empty(len(emissions), dtype=torch.int64, device=device)
        tags[order] = torch.cat([tag, *reversed(backwards)])
        return tags


class CRFCommittee(nn.Module):
    """Several CRFs over the same tags, each with its own columns of the emissions, (N, n · K).

    Each learns by its own likelihood. The best tags are those by the means of their scores (by the
    geometric mean of their probabilities). What is probable is the mean of what each finds.
    """

    def __init__(self, n: int, nO: int, scheme: str = "bio") -> None:
        super().__init__()
        self.members = nn.ModuleList(EntityCRF(nO, scheme) for _ in range(n))

    def forward(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Return each text's negative log-likelihood, (B,), the mean over the members'."""
        parts = emissions.chunk(len(self.members), dim=-1)
        losses = [crf(own, tags, lengths) for crf, own in zip(self.members, parts, strict=True)]
        return torch.stack(losses).mean(0)

    @torch.no_grad()
    def posterior(self, emissions: Tensor, lengths: Tensor) -> Posterior:
        """Return how probable well-formed tags of texts are: the mean of what the members find.

        emissions: (N, n · K). lengths: (B,), tokens per text, on the CPU.
        """
        return posterior_of(list(self.members), emissions, lengths)

    def viterbi(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Return what `EntityCRF.viterbi` does, of all members together."""
        mean = emissions.unflatten(-1, (len(self.members), -1)).mean(-2)
        return self._together().viterbi(mean, lengths)

    @torch.no_grad()
    def _together(self) -> EntityCRF:
        """Return the CRF whose scores are the means of the members'."""
        mean = cast(EntityCRF, deepcopy(self.members[0]))  # a new one would draw random numbers
        for name, value in mean.named_parameters():
            members: list[Tensor] = [crf.get_parameter(name) for crf in self.members]
            value.copy_(torch.stack(members).mean(0))
        return mean


def posterior_of(crfs: Sequence[nn.Module], emissions: Tensor, lengths: Tensor) -> Posterior:
    """Return the posterior of CRFs, each with its own columns of the emissions."""
    start, end, transitions = (
        torch.stack([crf.get_parameter(f"{name}transitions") for crf in crfs])
        for name in ("start_", "end_", "")
    )
    return Posterior(
        emissions.unflatten(-1, (len(crfs), -1)),
        lengths,
        cast(EntityCRF, crfs[0]).scheme,
        start=start,
        end=end,
        transitions=transitions,
    )
