"""The CRF's recursions as they are written in a book: the readable twin of the fast forms, and their way out.

A sequence of tags y over emissions e has the score ``start[y_0] + sum_t e_t[y_t] + sum_t T[y_t, y_t+1] + end[y_n]``
(kexue.fm/archives/5542). Every form here leaves tokens out by carrying the state over.
"""

import torch
from torch import Tensor


def log_sum_exp(x: Tensor, dim: int) -> Tensor:
    """``log(sum(e^x))`` over a dimension; of nothing but -inf it is -inf with a gradient of zero."""
    peak = x.detach().amax(dim, keepdim=True)
    peak = torch.where(peak.isfinite(), peak, torch.zeros_like(peak))
    total = (x - peak).exp().sum(dim)
    safe = torch.where(total > 0, total, torch.ones_like(total))
    return torch.where(total > 0, safe.log() + peak.squeeze(dim), -torch.inf)


def naive_log_partition(emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor) -> Tensor:
    """Log of the sum over all tag sequences of e^score.

    Args:
        emissions: ``[B, L, K]``.
        transitions: ``[K, K]`` or ``[B, K, K]``, from the first to the second.
        start: ``[K]`` or ``[B, K]``.
        end: ``[K]`` or ``[B, K]``.
        mask: bool ``[B, L]``.

    Returns:
        ``[B]``, 0 for a row without tokens.
    """
    _, states = _passes(emissions, transitions, start, mask)
    total = log_sum_exp(states[-1] + end, 1)
    return torch.where(mask.any(1), total, torch.zeros_like(total))


def naive_marginals(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Log partition ``[B]``, probability of each tag ``[B, L, K]`` and expected count of each transition ``[B, K, K]``.

    The latter two are the gradients of the first, by the forward-backward algorithm. Arguments as in
    `naive_log_partition`.
    """
    total = naive_log_partition(emissions, transitions, start, end, mask)
    reached = torch.where(total > -torch.inf, total, 0.0).unsqueeze(1)
    _, states = _passes(emissions, transitions, start, mask)
    after, _ = _passes(emissions.flip(1), transitions.mT, end, mask.flip(1))
    places = list(zip(emissions.unbind(1), mask.unbind(1), states, states[1:], reversed(after)))
    tags = [torch.where(keep.unsqueeze(1), (s + a - reached).exp(), 0.0) for _, keep, _, s, a in places]
    counts = torch.zeros_like(total)[:, None, None].repeat(1, *transitions.shape[-2:])
    begun = torch.zeros_like(mask[:, 0]) if places else mask
    for emission, keep, before, _, following in places:
        onward = (emission + following - reached).unsqueeze(1)
        pairs = (before.unsqueeze(2) + transitions + onward).exp()
        counts = counts + torch.where((begun & keep)[:, None, None], pairs, 0.0)
        begun = begun | keep
    return total, torch.stack(tags, 1) if tags else emissions, counts


def _passes(emissions: Tensor, transitions: Tensor, first: Tensor, mask: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Log-sums ``[B, K]`` over all ways to a tag: L without the token's emission, and L + 1 with it."""
    batch, _, tags = emissions.shape
    arrivals, states = [], [emissions.new_zeros(batch, tags)]
    begun = mask.new_zeros(batch, 1)
    for emission, keep in zip(emissions.masked_fill(~mask.unsqueeze(-1), 0).unbind(1), mask.unsqueeze(-1).unbind(1)):
        moved = log_sum_exp(states[-1].unsqueeze(2) + transitions, 1)
        arrivals.append(torch.where(begun, moved, first))
        states.append(torch.where(keep, arrivals[-1] + emission, states[-1]))
        begun = begun | keep
    return arrivals, states


def naive_decode(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """The tag sequence with the highest score by Viterbi's algorithm.

    Arguments as in `naive_log_partition`.

    Returns:
        int64 tags ``[B, L]``, -100 where left out, and scores ``[B]``.
    """
    batch, length, _ = emissions.shape
    paths = torch.full((batch, length), -100)
    scores = emissions.new_zeros(batch)
    for row in range(batch):
        kept = mask[row].nonzero().squeeze(1)
        if not len(kept):
            continue
        state = start + emissions[row, kept[0]]
        pointers = []
        for place in kept[1:]:
            state, pointer = (state.unsqueeze(1) + transitions).max(0)
            state = state + emissions[row, place]
            pointers.append(pointer)
        scores[row], tag = (state + end).max(0)
        paths[row, kept[-1]] = tag
        for place, pointer in zip(reversed(kept[:-1].tolist()), reversed(pointers)):
            tag = pointer[tag]
            paths[row, place] = tag
    return paths, scores
