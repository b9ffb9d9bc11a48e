"""Losses of span scores ``[B, C, L, L]`` from lists of spans, without any dense label tensor."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hf_ext.losses.multilabel_softmax import distinct
from hf_ext.ops.logsumexp import log_one_plus_sum_exp
from hf_ext.ops.pointer import efficient_pointer_scores, pointer_scores, wide

# In float64 a sum scaled by e^-600 still holds every term that shows beside 1.
_SCALABLE = 600.0


def span_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Multi-label softmax cross-entropy over the L*L spans of each row and type, averaged over rows and types.

    Equal to the original GlobalPointer's loss on dense labels (kexue.fm/archives/8373 and 7359).

    Args:
        scores: ``[B, C, L, L]``, -inf where no span may stand.
        labels: integers ``[B, M, 3]`` of (label, start, end), both ends inclusive, padded with -100; M may be 0. A span
            given twice counts once.

    Returns:
        scalar, in float32 or better; +inf if a labelled span has a score of -inf.
    """
    scores = wide(scores)
    batch, types, length, _ = scores.shape
    label, start, end = labels.long().unbind(-1)
    flat = scores.flatten(1)
    index, valid = distinct(((label * length + start) * length + end).masked_fill(label == -100, -100))
    chosen = flat.gather(1, index)
    # Adding -inf takes the positives out; unlike scattering it has no backward pass of its own.
    negatives = flat.scatter_add(1, index, torch.zeros_like(chosen).masked_fill(valid, -torch.inf))
    mine = index.unsqueeze(1) // (length * length) == torch.arange(types, device=index.device)[:, None]
    positives = (-chosen).unsqueeze(1).masked_fill(~(mine & valid.unsqueeze(1)), -torch.inf)
    negatives = negatives.view(batch, types, length * length)
    return (log_one_plus_sum_exp(negatives) + log_one_plus_sum_exp(positives)).mean()


def efficient_span_loss(
    query: Tensor, key: Tensor, start_bias: Tensor, end_bias: Tensor, labels: Tensor, allowed: Tensor | None = None
) -> Tensor:
    """`span_loss` of `efficient_pointer_scores` in memory ``[B, L, L]`` instead of ``[B, C, L, L]``.

    The types share ``q_i . k_j``, so the sum over spans of e^score is a bilinear form ``u_c^T E v_c``, where E holds
    the exponentials of the products and u_c, v_c those of the biases. Cells that carry a label of any type are left out
    of E and their other types added one by one, so that no sum is the difference of two larger ones. In float64 it is
    exact to float32; where the scores are too far apart for float64, and in a compiled graph, which cannot choose, the
    dense scores are made.

    Args:
        query: ``[B, L, D]``.
        key: ``[B, L, D]``.
        start_bias: ``[B, L, C]``.
        end_bias: ``[B, L, C]``.
        labels: integers ``[B, M, 3]`` of (label, start, end), both ends inclusive, padded with -100; M may be 0.
        allowed: bool ``[B or 1, L, L]`` from `span_mask`; None allows all.

    Returns:
        scalar, in float32 or better.
    """
    if torch.compiler.is_compiling() or query.device.type == "mps":
        return span_loss(efficient_pointer_scores(query, key, start_bias, end_bias, allowed), labels)
    base = pointer_scores(query.unsqueeze(2), key.unsqueeze(2), allowed).squeeze(1)
    start, end = wide(start_bias).mT, wide(end_bias).mT
    peaks = base.detach().amax((-2, -1)).clamp_min(-1e4)[:, None], start.detach().amax(-1), end.detach().amax(-1)
    if (peaks[0].abs() + peaks[1].abs() + peaks[2].abs()).max() > _SCALABLE:
        return span_loss(efficient_pointer_scores(query, key, start_bias, end_bias, allowed), labels)

    cell, valid, positive = _labelled_cells(labels, types=start.shape[1], length=base.shape[-1])
    flat = base.flatten(1)
    unlabelled = flat.scatter_add(1, cell, torch.zeros_like(valid, dtype=base.dtype).masked_fill(valid, -torch.inf))
    negative = _bilinear_log_one_plus_sum_exp(unlabelled.view_as(base), start, end, *peaks)

    place = cell.unsqueeze(1).expand_as(positive)
    length = base.shape[-1]
    chosen = start.gather(2, place // length) + end.gather(2, place % length) + flat.gather(1, cell).unsqueeze(1)
    others = chosen.masked_fill(positive | ~valid.unsqueeze(1), -torch.inf)
    negative = negative + log_one_plus_sum_exp(others - negative.unsqueeze(-1))
    return (negative + log_one_plus_sum_exp((-chosen).masked_fill(~positive, -torch.inf))).mean()


def _labelled_cells(labels: Tensor, types: int, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Cells ``[B, M]`` of (start, end), which are distinct ``[B, M]``, and which types stand there ``[B, C, M]``."""
    batch, most, _ = labels.shape
    label, start, end = labels.long().unbind(-1)
    padded = label == -100
    cell = (start * length + end).masked_fill(padded, -100)
    index, valid = distinct(cell)
    slot = torch.searchsorted(cell.sort(dim=-1).values, cell)
    place = (label * most + slot).masked_fill(padded, 0)
    count = torch.zeros(batch, types * most, dtype=torch.long, device=labels.device)
    return index, valid, count.scatter_add_(1, place, (~padded).long()).view(batch, types, most) > 0


def _bilinear_log_one_plus_sum_exp(
    base: Tensor, start: Tensor, end: Tensor, base_peak: Tensor, start_peak: Tensor, end_peak: Tensor
) -> Tensor:
    """``log(1 + sum_ij e^(base_ij + start_ci + end_cj))``, ``[B, C]``, of ``[B, L, L]`` and twice ``[B, C, L]``."""
    with torch.autocast(base.device.type, enabled=False):
        exponentials = (base.double() - base_peak.unsqueeze(-1)).exp()
        starts = (start.double() - start_peak.unsqueeze(-1)).exp()
        ends = (end.double() - end_peak.unsqueeze(-1)).exp()
        total = ((starts @ exponentials) * ends).sum(-1)
    peak = (base_peak + start_peak + end_peak).double()
    above = peak.clamp_min(0)
    return (above + torch.log(torch.exp(-above) + total * torch.exp(peak - above))).to(base.dtype)


def span_softmax_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Softmax cross-entropy over the L*L spans of a row where exactly one is right, averaged over rows.

    For reading comprehension by GlobalPointer (kexue.fm/archives/8373).

    Args:
        scores: ``[B, L, L]``, -inf where no span may stand.
        labels: integers ``[B, 2]`` of (start, end), both inclusive; rows of -100 are left out.
    """
    start, end = labels.long().unbind(-1)
    target = (start * scores.shape[-1] + end).masked_fill(start == -100, -100)
    return F.cross_entropy(wide(scores).flatten(1), target, ignore_index=-100)


class SpanLoss(nn.Module):
    """`span_loss` as a module."""

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Loss of ``scores`` ``[B, C, L, L]`` and ``labels`` ``[B, M, 3]``."""
        return span_loss(scores, labels)


class SpanSoftmaxLoss(nn.Module):
    """`span_softmax_loss` as a module."""

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Loss of ``scores`` ``[B, L, L]`` and ``labels`` ``[B, 2]``."""
        return span_softmax_loss(scores, labels)
