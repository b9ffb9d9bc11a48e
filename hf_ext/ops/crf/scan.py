"""Messages of a CRF with one matrix product a step, in float64 and outside of logarithms.

Probabilities are kept as they are and scaled every few steps; float64 holds numbers from e^-708 to e^709, and
`steps_between_scalings` says in advance whether, and for how many steps, that is enough for all terms that matter.
"""

from typing import NamedTuple

import torch
from torch import Tensor

# In nats: how small a product of forward and backward messages may become.
_MOST_SHRINKAGE = 690.0
# The sums of that many steps stay below e^709.
_MOST_STEPS = 32
# Emissions in so small a range, in nats, are all divided by the same.
_NARROW = 20.0


class Messages(NamedTuple):
    """What the recursions give, N being the most tokens of a row; garbage past a row's length.

    Attributes:
        forward: float64 ``[N, B, K]``, the sum over all beginnings that end with a tag, up to a factor a step and row.
        backward: float64 ``[M, K]``, the sums over all endings that begin with a tag, up to such a factor.
        after: int64 ``[N, B]``, where in ``backward`` the token after this one is; of a row's last token anywhere.
        log_partition: float64 ``[B]``.
    """

    forward: Tensor
    backward: Tensor
    after: Tensor
    log_partition: Tensor


class Chain(NamedTuple):
    """Emissions and transitions as factors of at most 1, and the logarithm of what was divided out.

    Attributes:
        local: float64 ``[N, D, B, K]``, e^emission; of two sides the second has each row's tokens in reverse.
        step: float64 ``[K, K]``, e^transition.
        start: float64 ``[K]``.
        end: float64 ``[K]``.
        log_scale: float64 ``[B]``.
        lengths: int64 ``[B]``.
    """

    local: Tensor
    step: Tensor
    start: Tensor
    end: Tensor
    log_scale: Tensor
    lengths: Tensor


def peaks(emissions: Tensor, mask: Tensor) -> tuple[Tensor, float]:
    """What is taken from the emissions of each token before e is raised to them, and the range of what is left.

    That is the largest of a token's emissions, or of all where these are close together, which is found much sooner.

    Args:
        emissions: ``[B, L, K]``.
        mask: bool ``[B, L]``.

    Returns:
        ``[B, L]``, and the most that an emission of a kept token is below.
    """
    least, most = emissions.aminmax()
    # Padding may hold anything, NaN too.
    if (spread := float(most - least)) < _NARROW:
        return most.expand(mask.shape), spread
    peak = emissions.amax(-1)
    return peak, float(torch.where(mask, peak - emissions.amin(-1), 0.0).max())


def steps_between_scalings(widest: float, transitions: Tensor, start: Tensor, end: Tensor) -> int:
    """How many steps may pass between two scalings, or 0 if float64 is not enough.

    Two tags differ in their messages by at most what the scores along a shortest way between them differ, so the
    ranges of emissions and transitions, times the steps in which every tag reaches every other, bound what can be lost.

    Args:
        widest: range of the emissions, from :func:`peaks`.
        transitions: ``[K, K]``, -inf where forbidden.
        start: ``[K]``, -inf where forbidden.
        end: ``[K]``, -inf where forbidden.
    """
    transitions, start, end = transitions.cpu(), start.cpu(), end.cpu()
    for scores in (transitions, start, end):
        finite = scores[scores > -torch.inf]
        if not len(finite):
            return 0
        widest += float(finite.max() - finite.min())
    mixing = _mixing_steps(transitions > -torch.inf)
    # Also where a score is NaN.
    if not mixing or not widest < _MOST_SHRINKAGE:
        return 0
    # Two messages shrink between scalings, and differ from tag to tag by what is on the way between these.
    steps = int((_MOST_SHRINKAGE / max(widest, 1.0) - 3 * mixing) / 2)
    return max(0, min(_MOST_STEPS, steps))


def _mixing_steps(allowed: Tensor) -> int:
    """The least number of steps in which each tag can reach every tag, 0 if more than 4: tag schemes need up to 3."""
    reached = allowed
    for steps in range(1, 5):
        if reached.all():
            return steps
        reached = (reached.float() @ allowed.float()) > 0
    return 0


def factors(
    emissions: Tensor,
    peak: Tensor,
    transitions: Tensor,
    start: Tensor,
    end: Tensor,
    places: Tensor,
    lengths: Tensor,
    sides: int,
) -> Chain:
    """The factors of a batch.

    Args:
        emissions: ``[B, L, K]``.
        peak: ``[B, L]`` from :func:`peaks`.
        transitions: ``[K, K]``.
        start: ``[K]``.
        end: ``[K]``.
        places: int64 ``[N, B]`` from :class:`hf_ext.ops.crf.rows.Rows`.
        lengths: int64 ``[B]``.
        sides: 1, or 2 to run from both ends.
    """
    most, batch = places.shape
    local = emissions.new_empty(most, sides, batch, emissions.shape[2], dtype=torch.float64)
    one = local[:, 0]
    one.copy_(emissions.flatten(0, 1).index_select(0, places.flatten()).view(one.shape))
    peak = peak.flatten()[places].double()
    one.sub_(peak.unsqueeze(-1)).exp_()
    if sides == 2:
        local[:, 1] = local.flatten(0, 2).index_select(0, _mirrored(lengths, most).flatten()).view(one.shape)
    real = torch.arange(most, device=places.device)[:, None] < lengths
    scale = torch.where(real, peak, 0.0).sum(0)
    step, first, last = (scores.double() - scores.max() for scores in (transitions, start, end))
    scale = scale + transitions.max() * (lengths - 1) + start.max() + end.max()
    return Chain(local, step.exp(), first.exp(), last.exp(), scale, lengths)


def scan_log_partition(chain: Chain, steps: int) -> Tensor:
    """Log partition ``[B]`` of a chain of one side, from forward messages that take the place of ``chain.local``."""
    scales = _scan(chain.local, chain.step[None], chain.start, steps)
    return _total(chain.local[:, 0], scales[:, 0], chain, steps)


def scan_messages(chain: Chain, steps: int) -> Messages:
    """Messages of a chain of two sides, in the place of ``chain.local``, and the log partition; one loop for both."""
    both = torch.stack((chain.step, chain.step.T))
    scales = _scan(chain.local, both, torch.stack((chain.start, chain.end)).unsqueeze(1), steps)
    forward = chain.local[:, 0]
    total = _total(forward, scales[:, 0], chain, steps)
    # Seen from the end, the token after one is the one before it.
    after = _mirrored(chain.lengths - 1, len(forward)) + forward.shape[1]
    return Messages(forward, chain.local.flatten(0, 2), after, total)


def _mirrored(lengths: Tensor, most: int) -> Tensor:
    """Where in ``[N, 2, B]``, on the first side, the n-th token of each row is if counted from its end, ``[N, B]``."""
    batch = len(lengths)
    time = torch.arange(most, device=lengths.device)[:, None]
    return (lengths - 1 - time).clamp_min(0) * (2 * batch) + torch.arange(batch, device=lengths.device)


def _scan(local: Tensor, step: Tensor, first: Tensor, steps: int) -> Tensor:
    """Turn ``local`` ``[N, D, B, K]`` into messages in place: ``m_t = (m_t-1 @ step) * local_t``.

    Returns:
        The logarithms ``[N // steps + 1, D, B]`` of what they were divided by.
    """
    local[0].mul_(first)
    moved = torch.empty_like(local[0])
    scales = [torch.ones_like(moved[..., :1])]
    message, *others = local.unbind(0)
    for number, factor in enumerate(others, 1):
        torch.bmm(message, step, out=moved)
        message = factor.mul_(moved)
        if number % steps == 0:
            # A message is zero where nothing is allowed.
            scale = message.sum(-1, keepdim=True).clamp_min_(torch.finfo(message.dtype).tiny)
            message.div_(scale)
            scales.append(scale)
    return torch.stack(scales).squeeze(-1).log_().cumsum(0)


def _total(forward: Tensor, scales: Tensor, chain: Chain, steps: int) -> Tensor:
    last = (chain.lengths - 1).clamp_min(0)
    row = torch.arange(len(last), device=last.device)
    ends = (forward[last, row] * chain.end).sum(-1).log()
    return ends + scales[last // steps, row] + chain.log_scale
