"""The best tag sequences of a CRF: Viterbi's algorithm from both ends at once, and the N best."""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from hf_ext.ops.crf.rows import checked_inputs, kept_rows
from hf_ext.ops.graphs import op_namespace


@torch.no_grad()
def crf_decode(
    emissions: Tensor,
    transitions: Tensor,
    mask: Tensor | None = None,
    start: Tensor | None = None,
    end: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The tag sequence with the highest score of each row.

    The recursion runs from both ends to the middle of each row, so it takes half as many steps, and no pointers are
    kept: the way back asks again, for one tag, where it came from.

    Args:
        emissions: ``[B, L, K]``.
        transitions: ``[K, K]``, the score of going from the first tag to the second, -inf where forbidden.
        mask: ``[B, L]``, nonzero where a token counts, anywhere in a row; None: all do.
        start: ``[K]``, score of beginning with a tag; None: 0.
        end: ``[K]``, score of ending with a tag; None: 0.

    Returns:
        int64 tags ``[B, L]``, -100 where left out, and scores ``[B]`` in float32 or better: 0 for a row without tokens,
        -inf where every sequence is forbidden.

    Raises:
        ValueError: if a shape does not fit, or (on a CPU) a score is NaN or +inf.
    """
    emissions, transitions, keep, start, end = checked_inputs(emissions, transitions, mask, start, end)
    tags, scores = _decode(emissions.detach(), transitions.detach(), start, end, keep)
    return tags, scores


# One operation in compiled graphs: its loops are not for a compiler to unroll.
@torch.library.custom_op(f"{op_namespace(__name__)}::crf_decode", mutates_args=())
def _decode(emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    batch, _, count = emissions.shape
    rows = kept_rows(mask)
    if not len(rows.forward):
        return torch.full_like(mask, -100, dtype=torch.long), emissions.new_zeros(batch)
    # Of n tokens the first ceil(n / 2) are read from the start, the others from the end.
    before = (rows.lengths + 1) // 2
    after = rows.lengths - before
    half = (len(rows.forward) + 1) // 2
    states = _read(emissions, rows.forward[:half], rows.backward[:half])
    states[0] += torch.stack((start, end), dim=1).unsqueeze(2)
    both = torch.stack((transitions, transitions.T))
    _run(states, both)

    row = torch.arange(batch, device=mask.device)
    last = torch.stack(((before - 1).clamp_min(0), (after - 1).clamp_min(0)))
    left, right = states[last[0], :, 0, row], states[last[1], :, 1, row]
    joined = (left.unsqueeze(2) + transitions + right.unsqueeze(1)).flatten(1)
    alone = (left + end).unsqueeze(2).expand(-1, -1, count).flatten(1)
    scores, pair = torch.where((rows.lengths > 1).unsqueeze(1), joined, alone).max(1)
    path = _trace(states, both, last, torch.stack((pair // count, pair % count)))
    del states

    side = (rows.rank >= before.unsqueeze(1)).long()
    step = torch.where(side == 0, before.unsqueeze(1) - 1 - rows.rank, rows.rank - before.unsqueeze(1)).clamp_min(0)
    tags = path.flatten()[(step * 2 + side) * batch + row.unsqueeze(1)]
    return tags.masked_fill_(~mask, -100), torch.where(rows.lengths > 0, scores, 0.0)


@_decode.register_fake
def _(emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    return mask.new_empty(mask.shape, dtype=torch.long), emissions.new_empty(len(emissions))


def _read(emissions: Tensor, *places: Tensor) -> Tensor:
    """Emissions ``[S, K, D, B]`` of D tensors of places ``[S, B]``.

    Rows come last: whatever the number of tags, an operation on a step then runs over many numbers at once.
    """
    steps, batch = places[0].shape
    states = emissions.new_empty(steps, emissions.shape[2], len(places), batch)
    tokens = emissions.flatten(0, 1)
    for state, *some in zip(*(x.split(_steps_at_once(steps)) for x in (states, *places))):
        read = tokens.index_select(0, torch.stack(some, dim=1).flatten())
        state.copy_(read.view(-1, len(places), batch, emissions.shape[2]).permute(0, 3, 1, 2))
    return states


def _run(states: Tensor, transitions: Tensor) -> None:
    """Turn emissions ``[S, K, D, B]`` in place into the best scores of all ways to a tag at a step."""
    batch = states.shape[3]
    moves = transitions.permute(1, 2, 0).unsqueeze(3).expand(-1, -1, -1, batch).contiguous()
    ways = torch.empty_like(moves)
    best = torch.empty_like(states[0])
    for state, following in zip(states.unsqueeze(2).unbind(0), states.unbind(0)[1:]):
        torch.add(state, moves, out=ways)
        torch.amax(ways, 0, out=best)
        following.add_(best)


def _trace(states: Tensor, transitions: Tensor, last: Tensor, tags: Tensor) -> Tensor:
    """Tags ``[S, D, B]`` on the way back from ``tags`` ``[D, B]`` at the steps ``last`` ``[D, B]``.

    The steps are short and wait for each other, so they run on the host and by NumPy, whose calls cost the least.
    """
    steps, count, sides, batch = states.shape
    step = torch.arange(1, steps, device=states.device)[:, None, None]
    side = torch.arange(sides, device=states.device)[:, None]
    row = torch.arange(batch, device=states.device)
    table = transitions.mT.flatten(0, 1).cpu().numpy()
    offset = (side * count).expand(sides, batch).flatten().cpu().numpy()
    path = np.empty((steps, sides * batch), np.int64)
    ways = np.empty((sides * batch, count), table.dtype)
    np.add(tags.flatten().cpu().numpy(), offset, out=path[0])
    pairs = pairwise(path)
    for some in step.split(_steps_at_once(steps)):
        back = states[(last - some).clamp_min(0), :, side, row].flatten(1, 2).cpu().numpy()
        # The states come first: a pair that is taken and finds none would be lost.
        for state, (tag, before) in zip(back, pairs):
            # Of all modes this one alone writes in place.
            table.take(tag, 0, out=ways, mode="clip")
            np.add(ways, state, out=ways)
            ways.argmax(1, out=before)
            before += offset
    path -= offset
    return torch.from_numpy(path).to(states.device).view(steps, sides, batch)


def _steps_at_once(steps: int) -> int:
    """Of how many steps tensors are made at once beside the states, which bounds the memory that they take."""
    return max(32, -(-steps // 8))


@torch.no_grad()
def crf_nbest(
    emissions: Tensor,
    transitions: Tensor,
    n: int,
    mask: Tensor | None = None,
    start: Tensor | None = None,
    end: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The ``n`` tag sequences with the highest scores of each row, best first.

    Args:
        emissions: ``[B, L, K]``.
        transitions: ``[K, K]``.
        n: number of sequences.
        mask: ``[B, L]``.
        start: ``[K]``.
        end: ``[K]``.

    Returns:
        int64 tags ``[B, n, L]``, -100 where left out and where a row has fewer sequences, and scores ``[B, n]``, -inf
        where there are fewer. A row without tokens has one sequence, of score 0.

    Raises:
        ValueError: if ``n`` is less than 1, and as `crf_decode`.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    emissions, transitions, keep, start, end = checked_inputs(emissions, transitions, mask, start, end)
    batch, length, count = emissions.shape
    rows = kept_rows(keep)
    scores = emissions.new_full((batch, n), -torch.inf)
    scores[:, 0] = 0.0
    if not len(rows.forward):
        return torch.full((batch, n, length), -100, device=keep.device), scores
    local = emissions.flatten(0, 1)[rows.forward]
    # state[b, j, r]: the score of the r-th best way to tag j; an entry of `pointers` is its tag before times n plus r.
    state = torch.full((batch, count, n), -torch.inf, dtype=local.dtype, device=local.device)
    state[:, :, 0] = local[0] + start
    identity = torch.arange(count * n, device=local.device).view(count, n).expand(batch, -1, -1)
    pointers = []
    for step, emission in enumerate(local[1:], 1):
        ways = (state.unsqueeze(1) + transitions.T[None, :, :, None]).flatten(2)
        best, pointer = ways.topk(n)
        goes_on = (step < rows.lengths)[:, None, None]
        state = torch.where(goes_on, best + emission.unsqueeze(2), state)
        pointers.append(torch.where(goes_on, pointer, identity))
    final = (state + end[:, None]).flatten(1)
    best, place = final.topk(n)
    path = [place]
    for pointer in reversed(pointers):
        place = pointer.flatten(1).gather(1, place)
        path.append(place)
    tags = torch.stack(path[::-1], dim=2) // n
    tags = tags.gather(2, rows.rank.unsqueeze(1).expand(-1, n, -1))
    filled = (rows.lengths > 0).unsqueeze(1)
    scores = torch.where(filled, best, scores)
    return tags.masked_fill(~(keep.unsqueeze(1) & (scores > -torch.inf).unsqueeze(2)), -100), scores
