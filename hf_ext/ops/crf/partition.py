"""Log partition, score, loss and marginals of a linear-chain CRF (kexue.fm/archives/5542)."""

from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hf_ext.ops.crf.blocks import block_messages
from hf_ext.ops.crf.naive import naive_log_partition, naive_marginals
from hf_ext.ops.crf.rows import checked_inputs, kept_before, kept_rows
from hf_ext.ops.crf.scan import (
    Chain,
    Messages,
    factors,
    peaks,
    scan_log_partition,
    scan_messages,
    steps_between_scalings,
)
from hf_ext.ops.graphs import in_graph, op_namespace

# On a CPU blocks win for long rows whose matrix products, of B * K^3 multiplications a step, are small beside a call.
_LONG = 512
_PRODUCTS_A_STEP = 2000
# Elsewhere they win unless rows are short, or the products no longer fit.
_LONG_ELSEWHERE = 64
_MOST_TAGS_IN_BLOCKS = 64
# Marginals are made in so many parts, which bounds what is in memory beside the messages, of so many steps or more.
_PARTS = 8
_LEAST_STEPS_AT_ONCE = 32


def crf_log_partition(
    emissions: Tensor,
    transitions: Tensor,
    mask: Tensor | None = None,
    start: Tensor | None = None,
    end: Tensor | None = None,
) -> Tensor:
    """Log of the sum over all tag sequences of e^score.

    One matrix product a step in float64, and a backward pass without a loop; for GPUs and for few long rows a scan of
    logarithmic depth. Scores too far apart for float64 run as logarithms, slowly and as exactly. Gradients of first
    order.

    Args:
        emissions: ``[B, L, K]``, any floating type; -inf forbids a tag at a token.
        transitions: ``[K, K]``, the score of going from the first tag to the second, -inf where forbidden.
        mask: ``[B, L]``, nonzero where a token counts, anywhere in a row; None: all do.
        start: ``[K]``, score of beginning with a tag; None: 0.
        end: ``[K]``, score of ending with a tag; None: 0.

    Returns:
        ``[B]`` in float32 or better; 0 for a row without tokens, -inf where every sequence is forbidden.

    Raises:
        ValueError: if a shape does not fit, or (on a CPU) a score is NaN or +inf.
    """
    emissions, transitions, keep, start, end = checked_inputs(emissions, transitions, mask, start, end)
    if torch.is_grad_enabled() and any(x.requires_grad for x in (emissions, transitions, start, end)):
        return _LogPartition.apply(emissions, transitions, start, end, keep)
    return _partition(emissions, transitions, start, end, keep, False)[0]


def crf_score(
    emissions: Tensor,
    transitions: Tensor,
    tags: Tensor,
    mask: Tensor | None = None,
    start: Tensor | None = None,
    end: Tensor | None = None,
) -> Tensor:
    """Score of one tag sequence a row.

    Args:
        emissions: ``[B, L, K]``.
        transitions: ``[K, K]``.
        tags: integers ``[B, L]`` in [0, K) where kept.
        mask: ``[B, L]``; None: tokens whose tag is not -100.
        start: ``[K]``.
        end: ``[K]``.

    Returns:
        ``[B]`` in float32 or better; 0 for a row without tokens.

    Raises:
        ValueError: as `crf_log_partition`, or (on a CPU) if a tag is out of range.
    """
    mask = labelled(tags, mask, emissions)
    emissions, transitions, keep, start, end = checked_inputs(emissions, transitions, mask, start, end)
    check_tags(tags, keep, emissions.shape[2])
    tags = torch.where(keep, tags.long(), 0)
    before, has_before = kept_before(keep)
    has_after = kept_before(keep.flip(1))[1].flip(1)
    moves = torch.where(has_before, transitions[tags.gather(1, before), tags], start[tags])
    scores = emissions.gather(2, tags.unsqueeze(2)).squeeze(2) + moves + torch.where(has_after, 0.0, end[tags])
    return torch.where(keep, scores, 0.0).sum(1)


def crf_loss(
    emissions: Tensor,
    transitions: Tensor,
    tags: Tensor,
    mask: Tensor | None = None,
    start: Tensor | None = None,
    end: Tensor | None = None,
) -> Tensor:
    """Negative log-likelihood of each row's tag sequence. Arguments and errors as in `crf_score`.

    Returns:
        ``[B]`` in float32 or better, at least 0; 0 for a row without tokens.

    Raises:
        ValueError: also (on a CPU) if a row's tags make a forbidden sequence, which has an infinite loss.
    """
    mask = labelled(tags, mask, emissions)
    score = crf_score(emissions, transitions, tags, mask, start, end)
    if score.device.type == "cpu" and not in_graph() and not (score > -torch.inf).all():
        _refuse_forbidden(score, emissions, transitions, tags, mask, start, end)
    # Both are rounded, and their difference may come out below 0.
    return (crf_log_partition(emissions, transitions, mask, start, end) - score).clamp_min(0)


class CrfMarginals(NamedTuple):
    """Probabilities under a CRF.

    Attributes:
        tags: ``[B, L, K]``, probability of each tag at each token; 0 where left out.
        transitions: ``[B, K, K]``, expected number of times that the second tag follows the first.
        log_partition: ``[B]``.
    """

    tags: Tensor
    transitions: Tensor
    log_partition: Tensor


def crf_marginals(
    emissions: Tensor,
    transitions: Tensor,
    mask: Tensor | None = None,
    start: Tensor | None = None,
    end: Tensor | None = None,
) -> CrfMarginals:
    """Probability of each tag and expected number of each transition; without gradients.

    Arguments and errors as in `crf_log_partition`.
    """
    emissions, transitions, keep, start, end = checked_inputs(emissions, transitions, mask, start, end)
    with torch.no_grad():
        total, tags, counts = _partition(emissions, transitions, start, end, keep, True)
    return CrfMarginals(tags, counts, total)


class _LogPartition(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor) -> Tensor:
        total, tags, counts = _partition(emissions, transitions, start, end, mask, True)
        ctx.save_for_backward(emissions, transitions, start, end, mask, tags, counts)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        emissions, transitions, start, end, mask, tags, counts = ctx.saved_tensors
        if torch.is_grad_enabled():
            # Derivatives of the gradients are those of the readable form.
            scores = (emissions, transitions, start, end)
            total = naive_log_partition(*scores, mask)
            wanted = [x for x in scores if x.requires_grad]
            grads = iter(torch.autograd.grad(total, wanted, gradient, create_graph=True))
            return *[next(grads) if x.requires_grad else None for x in scores], None
        weighted = gradient[:, None, None] * tags
        first = last = None
        if ctx.needs_input_grad[2] or ctx.needs_input_grad[3]:
            row = torch.arange(len(mask), device=mask.device)
            places = mask.cumsum(1)
            first, last = (weighted[row, place].sum(0) for place in (places.eq(1).int().argmax(1), places.argmax(1)))
        return weighted, torch.einsum("b,bij->ij", gradient, counts), first, last, None


# One opaque operation in compiled graphs: its loops and its choice of a form are not for a compiler to unroll.
@torch.library.custom_op(f"{op_namespace(__name__)}::crf_partition", mutates_args=())
def _partition(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor, marginals: bool
) -> tuple[Tensor, Tensor, Tensor]:
    batch, length, tags = emissions.shape
    kind = emissions.dtype
    rows = kept_rows(mask)
    empty = emissions.new_zeros(batch, length, tags), emissions.new_zeros(batch, tags, tags)
    nothing = emissions.new_empty(0), emissions.new_empty(0)
    if not len(rows.forward):
        return emissions.new_zeros(batch), *(empty if marginals else nothing)
    exact = emissions.device.type != "mps"
    peak, spread = peaks(emissions, mask)
    steps = steps_between_scalings(spread, transitions, start, end) if exact else 0
    if not steps:
        wide = torch.float64 if exact else torch.float32
        scores = emissions.to(wide), transitions.to(wide), start.to(wide), end.to(wide)
        if marginals:
            total, of_tags, of_pairs = naive_marginals(*scores, mask)
            return total.to(kind), of_tags.to(kind), of_pairs.to(kind)
        return naive_log_partition(*scores, mask).to(kind), *nothing
    in_blocks = _in_blocks(len(rows.forward), batch, tags, emissions.device)
    sides = 2 if marginals and not in_blocks else 1
    chain = factors(emissions, peak, transitions, start, end, rows.forward, rows.lengths, sides)
    filled = rows.lengths > 0
    if not marginals and not in_blocks:
        return torch.where(filled, scan_log_partition(chain, steps), 0.0).to(kind), *nothing
    messages = block_messages(chain) if in_blocks else scan_messages(chain, steps)
    total = torch.where(filled, messages.log_partition, 0.0).to(kind)
    if not marginals:
        return total, *nothing
    of_tags, of_pairs = _marginals(chain, messages, rows.forward, emissions)
    return total, of_tags, of_pairs.to(kind)


@_partition.register_fake
def _(
    emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask: Tensor, marginals: bool
) -> tuple[Tensor, Tensor, Tensor]:
    batch, _, tags = emissions.shape
    if not marginals:
        return emissions.new_empty(batch), emissions.new_empty(0), emissions.new_empty(0)
    return emissions.new_empty(batch), emissions.new_empty(emissions.shape), emissions.new_empty(batch, tags, tags)


def _in_blocks(most: int, batch: int, tags: int, device: torch.device) -> bool:
    if device.type == "cpu":
        return most > _LONG and batch * tags**3 <= _PRODUCTS_A_STEP
    return most > _LONG_ELSEWHERE and tags <= _MOST_TAGS_IN_BLOCKS


def _marginals(chain: Chain, messages: Messages, places: Tensor, emissions: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities of tags, as ``emissions`` are, and expected transitions ``[B, K, K]``, some steps at a time."""
    most, batch = places.shape
    tags = emissions.shape[2]
    # Padding, and the last token of a row, go to a place that is cut off.
    nowhere = batch * emissions.shape[1]
    result = emissions.new_zeros(nowhere + 1, tags)
    counts = chain.local.new_zeros(batch, tags, tags)
    goes_on = torch.arange(1, most + 1, device=places.device)[:, None] < chain.lengths
    size = max(_LEAST_STEPS_AT_ONCE, -(-most // _PARTS))
    parts = zip(*(x.split(size) for x in (messages.forward, messages.after, goes_on, places)))
    for forward, after, kept, place in parts:
        following = messages.backward.index_select(0, after.flatten())
        joint = (following @ chain.step.T).view(forward.shape).mul_(forward)
        inverse = _inverse(joint, kept)
        result.index_copy_(0, torch.where(kept, place, nowhere).flatten(), _rows(joint.mul_(inverse), result))
        counts.baddbmm_((forward * inverse).permute(1, 2, 0), following.view(forward.shape).transpose(0, 1))
    last = (chain.lengths - 1).clamp_min(0)
    row = torch.arange(batch, device=places.device)
    joint = messages.forward[last, row] * chain.end
    filled = chain.lengths > 0
    place = torch.where(filled, places[last, row], nowhere)
    result.index_copy_(0, place, _rows(joint.mul_(_inverse(joint, filled)), result))
    return result[:-1].view(emissions.shape), counts.mul_(chain.step)


def _inverse(joint: Tensor, kept: Tensor) -> Tensor:
    """One by the sum over tags, in which a factor that a message has of its own cancels; 0 where there is nothing."""
    total = joint.sum(-1)
    return torch.where(kept & (total > 0), 1 / total, 0.0).unsqueeze(-1)


def _rows(joint: Tensor, result: Tensor) -> Tensor:
    return joint.view(-1, joint.shape[-1]).to(result.dtype)


def _refuse_forbidden(
    score: Tensor,
    emissions: Tensor,
    transitions: Tensor,
    tags: Tensor,
    mask: Tensor,
    start: Tensor | None,
    end: Tensor | None,
) -> None:
    row = int((score == -torch.inf).nonzero()[0])
    places = mask[row].bool().nonzero().squeeze(1).tolist()
    own = tags[row].tolist()
    message = f"tags[{row}] must be a sequence that is allowed, got "
    if start is not None and start[own[places[0]]] == -torch.inf:
        raise ValueError(f"{message}{own[places[0]]} at its first token, {places[0]}, where it is forbidden")
    if end is not None and end[own[places[-1]]] == -torch.inf:
        raise ValueError(f"{message}{own[places[-1]]} at its last token, {places[-1]}, where it is forbidden")
    for before, place in pairwise(places):
        if transitions[own[before], own[place]] == -torch.inf:
            raise ValueError(f"{message}{own[place]} after {own[before]} at token {place}, which is forbidden")
    place = next(place for place in places if emissions[row, place, own[place]] == -torch.inf)
    raise ValueError(f"{message}{own[place]} at token {place}, whose emission is -inf")


def labelled(tags: Tensor, mask: Tensor | None, emissions: Tensor) -> Tensor:
    """The mask, or where tags are not -100.

    Raises:
        ValueError: if ``tags`` are not integers ``[B, L]``.
    """
    if tags.shape != emissions.shape[:2] or tags.is_floating_point():
        raise ValueError(
            f"tags must be integers of shape {tuple(emissions.shape[:2])}, as emissions have, "
            f"got {tags.dtype} of shape {tuple(tags.shape)}"
        )
    return tags != -100 if mask is None else mask


def check_tags(tags: Tensor, mask: Tensor, count: int) -> None:
    """Refuse, on a CPU and outside of compiled graphs, tags that are not in [0, count) where kept.

    Raises:
        ValueError: naming the first wrong tag.
    """
    if tags.device.type != "cpu" or in_graph():
        return
    wrong = ((tags < 0) | (tags >= count)) & mask
    if wrong.any():
        row, place = wrong.nonzero()[0].tolist()
        raise ValueError(
            f"tags[{row}, {place}] must be in [0, {count}), or -100 to be left out, got {tags[row, place]}"
        )
