from collections.abc import Sequence

import numpy
import torch
from torch import Tensor

from ...schemes import OUTSIDE, Scheme
from .packing import time_major_order


class Posterior:
    """The tags of a batch of texts as a CRF expects them: for each text a Markov chain.

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
        self.transitions = transitions.double()
        self.is_last = torch.zeros(len(emissions), dtype=torch.bool, device=emissions.device)
        self.is_last[lengths[lengths > 0].cumsum(0).to(emissions.device) - 1] = True
        # Time by time, the longest text first: those that go on are always the first ones.
        order, batch_sizes, _ = time_major_order(lengths)
        order = order.to(emissions.device)
        steps = emissions.double()[order].split(batch_sizes.tolist())
        ahead: list[Tensor] = []  # z
        norms: list[Tensor] = []  # by a token's tag i, the log of the sum over j
        for step in reversed(steps):
            norm = end.double().expand_as(step).clone()
            if ahead:
                later = self.transitions + ahead[-1][:, :, None]
                norm[: len(later)] = later.logsumexp(-1)
            norms.append(norm)
            # Only differences between tags count: sums that grow with the text are taken away.
            ahead.append(step + norm - norm.amax(-1, keepdim=True))
        ahead.reverse()
        norms.reverse()
        log_p: list[Tensor] = []
        for t, z in enumerate(ahead):
            if t == 0:
                log_p.append((start.double() + z).log_softmax(-1))
                continue
            before = (log_p[-1] - norms[t - 1])[: len(z)]
            log_p.append(z + (self.transitions + before[..., None]).logsumexp(-2))
        where = order.argsort()
        self._ahead, self._norms, self._log_p = (
            torch.cat(values)[where] if values else emissions.double()
            for values in (ahead, norms, log_p)
        )

    @property
    def tags(self) -> Tensor:
        """The probability of each tag of each token, (N, K)."""
        return self._log_p.exp().mean(1)

    def of_spans(self, spans: Sequence[tuple[int, int, int]]) -> Tensor:
        """Return the probability of each (start, stop, label number), (m,): that it is an entity.

        start, stop: Tokens as rows of the emissions; a span is within one text.
        """
        device = self._log_p.device
        if not spans:
            return self._log_p.new_empty(0)
        bounds = numpy.array(spans, dtype="int64")
        sizes = torch.from_numpy(bounds[:, 1] - bounds[:, 0])
        written = [self.scheme.entity(label, stop - start) for start, stop, label in spans]
        tags = torch.from_numpy(numpy.concatenate(written)).to(device)
        rows = [numpy.arange(start, stop) for start, stop, _ in spans]
        tokens = torch.from_numpy(numpy.concatenate(rows)).to(device)
        owner = torch.repeat_interleave(sizes).to(device)
        firsts = torch.from_numpy(bounds[:, 0]).to(device)
        at_first = (sizes.cumsum(0) - sizes).to(device)
        log_p = self._log_p[firsts, :, tags[at_first]]
        # Each token but the first, given the one before.
        inner = torch.ones_like(tokens, dtype=torch.bool)
        inner[at_first] = False
        (to,) = inner.nonzero(as_tuple=True)
        log_p = log_p.index_add(
            0, owner[to], self._log_next(tokens[to - 1], tags[to - 1], tags[to])
        )
        # No token after the last goes on with it.
        at_last = (sizes.cumsum(0) - 1).to(device)
        (followed,) = (~self.is_last[tokens[at_last]]).nonzero(as_tuple=True)
        go_on = torch.tensor([self.scheme.inside(label) for _, _, label in spans], device=device)
        ends = at_last[followed]
        longer = self._log_next(tokens[ends], tags[ends], go_on[followed]).exp()
        p = log_p.exp()
        return p.index_put((followed,), p[followed] * (1 - longer).clamp(min=0)).mean(1)

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
        tags = self._sure_tags()
        spans = self._candidates(tags)
        above = (self.of_spans(spans) > threshold).tolist()
        found = torch.full_like(tags, OUTSIDE)
        for (start, stop, _), it_is in zip(spans, above, strict=True):
            if it_is:
                found[start:stop] = tags[start:stop]
        return found

    def _sure_tags(self) -> Tensor:
        """Return each token's tag with a probability over a half, (N,), else O."""
        p, tags = self.tags.max(-1)
        return tags.masked_fill(p <= 0.5, OUTSIDE)

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
        labels = (tags[starts] - 1) // (self.scheme.n_tags(1) - 1)  # a label's are side by side
        return list(zip(starts.tolist(), stops.tolist(), labels.tolist(), strict=True))
