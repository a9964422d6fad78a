from collections.abc import Sequence

import numpy
import torch
from torch import Tensor

from ...schemes import OUTSIDE, Scheme
from .packing import time_major_order


class Posterior:
    """The well-formed tags of a batch of texts as a CRF expects them: for each text a Markov chain.

    p(y₁ … yₙ) = p(y₁) ∏ p(yₜ₊₁ | yₜ), where p(yₜ₊₁ = j | yₜ = i) ∝ exp(transition(i, j) + zⱼ(t+1))
    and zⱼ(t) is the score of tag j at token t and of all that may follow it: backward sums. The
    probability of an entity is a product of these, so that nothing large is subtracted from
    something large, however long the text.

    Members M of a committee have a chain each, and what is asked for is the mean of their answers.
    Everything is in double precision.

    emissions: (N, M, K). lengths: (B,), tokens per text, on the CPU.
    start, end: (M, K), the scores of a text's first and last tag. transitions: (M, K, K),
        [previous, next].
    """

    def __init__(
        self,
        emissions: Tensor,
        lengths: Tensor,
        scheme: Scheme,
        *,
        start: Tensor,
        end: Tensor,
        transitions: Tensor,
    ) -> None:
        self.scheme = scheme
        device, n_tags = emissions.device, emissions.shape[-1]
        legal = scheme.legal_starts, scheme.legal_ends, scheme.legal_transitions
        start, end, self.transitions = (
            scores.double().masked_fill(~torch.from_numpy(may(n_tags)).to(device), -torch.inf)
            for scores, may in zip((start, end, transitions), legal, strict=True)
        )
        self.is_last = torch.zeros(len(emissions), dtype=torch.bool, device=device)
        self.is_last[lengths[lengths > 0].cumsum(0).to(device) - 1] = True
        # Time by time, the longest text first: those that go on are always the first ones.
        order, batch_sizes, _ = time_major_order(lengths)
        order = order.to(device)
        steps = emissions.double()[order].split(batch_sizes.tolist())
        ahead: list[Tensor] = []  # z
        norms: list[Tensor] = []  # by a token's tag i, the log of the sum over j
        for step in reversed(steps):
            norm = end.expand_as(step).clone()
            if ahead:
                later = self.transitions + ahead[-1][:, :, None]
                norm[: len(later)] = later.logsumexp(-1)
            # Only differences between tags count: sums that grow with the text are taken away.
            ahead.append(step + norm - norm.amax(-1, keepdim=True))
            norms.append(norm.masked_fill(norm == -torch.inf, 0))  # tags that nothing may follow
        ahead.reverse()
        norms.reverse()
        tags: list[Tensor] = []
        for t, z in enumerate(ahead):
            if t == 0:
                tags.append((start + z).softmax(-1))
                continue
            n = len(z)
            log_next = self.transitions + z[:, :, None] - norms[t - 1][:n, :, :, None]
            tags.append((tags[-1][:n, :, None] @ log_next.exp())[:, :, 0])
        where = order.argsort()
        self._ahead, self._norms, self._tags = (
            torch.cat(values)[where] if values else emissions.double()
            for values in (ahead, norms, tags)
        )

    @property
    def tags(self) -> Tensor:
        """The probability of each tag of each token, (N, K)."""
        return self._tags.mean(1)

    def of_spans(self, spans: Sequence[tuple[int, int, int]]) -> Tensor:
        """Return the probability of each (start, stop, label number), (m,): that it is an entity.

        start, stop: Tokens as rows of the emissions; a span is within one text.
        """
        device = self._tags.device
        if not spans:
            return self._tags.new_empty(0)
        bounds = numpy.array(spans, dtype="int64")
        sizes = torch.from_numpy(bounds[:, 1] - bounds[:, 0])
        written = [self.scheme.entity(label, stop - start) for start, stop, label in spans]
        tags = torch.from_numpy(numpy.concatenate(written)).to(device)
        rows = [numpy.arange(start, stop) for start, stop, _ in spans]
        tokens = torch.from_numpy(numpy.concatenate(rows)).to(device)
        owner = torch.repeat_interleave(sizes).to(device)
        firsts = torch.from_numpy(bounds[:, 0]).to(device)
        at_first = (sizes.cumsum(0) - sizes).to(device)
        p = self._tags[firsts, :, tags[at_first]]
        # Each token but the first, given the one before.
        inner = torch.ones_like(tokens, dtype=torch.bool)
        inner[at_first] = False
        (to,) = inner.nonzero(as_tuple=True)
        log_next = self._log_next(tokens[to - 1], tags[to - 1], tags[to])
        p = p * torch.zeros_like(p).index_add(0, owner[to], log_next).exp()
        # No token after the last goes on with it.
        at_last = (sizes.cumsum(0) - 1).to(device)
        (followed,) = (~self.is_last[tokens[at_last]]).nonzero(as_tuple=True)
        go_on = torch.tensor([self.scheme.inside(label) for _, _, label in spans], device=device)
        ends = at_last[followed]
        longer = self._log_next(tokens[ends], tags[ends], go_on[followed]).exp()
        p = p.index_put((followed,), p[followed] * (1 - longer))
        return p.mean(1).clamp(0, 1)

    def _log_next(self, tokens: Tensor, tags: Tensor, next_tags: Tensor) -> Tensor:
        """Return log p(next tag | tag) by the members, (m, M), at tokens that are not the last."""
        score = self.transitions[:, tags, next_tags].T + self._ahead[tokens + 1, :, next_tags]
        return score - self._norms[tokens, :, tags]

    def likely_tags(self, threshold: float) -> Tensor:
        """Return the tags, (N,), of all entities with a probability above a threshold, and O.

        With a threshold of 0.5 it is the set of entities from which the fewest are expected to be
        wrong or missing: minimum Bayes risk.

        threshold: At least 0.5. Of two entities that overlap, or of a pair of tags of one token,
            then only one can be above it: there is nothing to search.
        """
        p, tags = self.tags.max(-1)
        tags = tags.masked_fill(p <= 0.5, OUTSIDE)
        spans = self._candidates(tags)
        above = (self.of_spans(spans) > threshold).tolist()
        found = torch.full_like(tags, OUTSIDE)
        for (start, stop, _), it_is in zip(spans, above, strict=True):
            if it_is:
                found[start:stop] = tags[start:stop]
        return found

    def _candidates(self, tags: Tensor) -> list[tuple[int, int, int]]:
        """Return the spans that are entities by the tags (N,), well-formed or not.

        Of an entity with a probability over a half each tag has that, too, and is in `tags`.
        """
        n_tags = self.transitions.shape[-1]
        opens = torch.from_numpy(self.scheme.legal_starts(n_tags)).to(tags.device)
        legal = torch.from_numpy(self.scheme.legal_transitions(n_tags)).to(tags.device)
        opens[OUTSIDE] = False
        goes_on = torch.zeros_like(self.is_last)
        follows = ~opens[tags] & (tags != OUTSIDE)
        goes_on[:-1] = legal[tags[:-1], tags[1:]] & follows[1:] & ~self.is_last[:-1]
        starts = opens[tags].nonzero()[:, 0]
        stops = (~goes_on).nonzero()[:, 0]
        stops = stops[torch.searchsorted(stops, starts)] + 1
        # The tags of a label are side by side. torch 1.12 warns of `//`.
        labels = (tags[starts] - 1).div(self.scheme.n_tags(1) - 1, rounding_mode="floor")
        return list(zip(starts.tolist(), stops.tolist(), labels.tolist(), strict=True))
