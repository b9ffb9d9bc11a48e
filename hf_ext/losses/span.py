"""Losses of spans from lists of them, without any dense label tensor, and from the pointers without dense scores."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hf_ext.losses.multilabel_softmax import distinct
from hf_ext.losses.rows import IGNORED, check_some, reduced
from hf_ext.ops.logsumexp import log_one_plus_sum_exp
from hf_ext.ops.pointer_loss import efficient_pointer_loss, pointer_loss
from hf_ext.ops.precision import at_least_float32


def span_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Multi-label softmax cross-entropy over the L*L spans of each row and type, averaged over rows and types.

    Equal to the original GlobalPointer's loss on dense labels (kexue.fm/archives/8373 and 7359).

    Args:
        scores: ``[B, C, L, L]``, -inf where no span may stand.
        labels: integers ``[B, M, 3]`` of (label, start, end), both ends inclusive, padded with -100; M may be 0. A span
            given twice counts once.

    Returns:
        scalar, in float32 or better; +inf if a labelled span has a score of -inf.

    Raises:
        ValueError: if there are no scores.
    """
    check_some(scores, "scores")
    scores = at_least_float32(scores)
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


def pointer_span_loss(
    query: Tensor, key: Tensor, labels: Tensor, attention_mask: Tensor | None = None, ordered: bool = True
) -> Tensor:
    """`span_loss` of GlobalPointer's scores, which are never there all at once.

    Args:
        query: ``[B, L, C, D]``, start vectors.
        key: ``[B, L, C, D]``, end vectors.
        labels: integers ``[B, M, 3]`` of (label, start, end), both ends inclusive, padded with -100; M may be 0.
        attention_mask: ``[B, L]``, nonzero at real tokens; None if all are.
        ordered: no end before its start.

    Returns:
        scalar, in float32 or better.

    Raises:
        ValueError: if a label is not among the types or its span not on real tokens, or, on the CPU, a score is NaN.
    """
    return pointer_loss(query, key, labels, attention_mask, ordered).mean()


def efficient_span_loss(
    query: Tensor,
    key: Tensor,
    start_bias: Tensor,
    end_bias: Tensor,
    labels: Tensor,
    attention_mask: Tensor | None = None,
    ordered: bool = True,
) -> Tensor:
    """`span_loss` of Efficient GlobalPointer's scores, which are never there all at once.

    Args:
        query: ``[B, L, D]``.
        key: ``[B, L, D]``.
        start_bias: ``[B, L, C]``.
        end_bias: ``[B, L, C]``.
        labels: integers ``[B, M, 3]`` of (label, start, end), both ends inclusive, padded with -100; M may be 0.
        attention_mask: ``[B, L]``, nonzero at real tokens; None if all are.
        ordered: no end before its start.

    Returns:
        scalar, in float32 or better.

    Raises:
        ValueError: as `pointer_span_loss`.
    """
    return efficient_pointer_loss(query, key, start_bias, end_bias, labels, attention_mask, ordered).mean()


def span_softmax_loss(scores: Tensor, labels: Tensor, reduction: str = "mean") -> Tensor:
    """Softmax cross-entropy over the L*L spans of a row where exactly one is right.

    For reading comprehension by GlobalPointer (kexue.fm/archives/8373).

    Args:
        scores: ``[B, L, L]``, -inf where no span may stand.
        labels: integers ``[B, 2]`` of (start, end), both inclusive; rows of -100 are left out.
        reduction: "none" (``[B]``), "sum", or "mean" over the rows that are not left out, 0 if all are.
    """
    start, end = labels.long().unbind(-1)
    target = (start * scores.shape[-1] + end).masked_fill(start == IGNORED, IGNORED)
    losses = F.cross_entropy(at_least_float32(scores).flatten(1), target, ignore_index=IGNORED, reduction="none")
    return reduced(losses, start != IGNORED, reduction)


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
