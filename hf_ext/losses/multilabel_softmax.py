"""Multi-label softmax cross-entropy: a softmax whose labels do not compete (kexue.fm/archives/7359 and 9064).

``log(1 + sum over negatives of e^s) + log(1 + sum over positives of e^-s)``; a class is predicted where ``s > 0``.
Everything is computed in float32 or better and is never negative nor NaN. A logit of -inf is a class that is not there.
"""

import torch
from torch import Tensor, nn

from hf_ext.losses.rows import IGNORED, check_logits, check_soft_labels, reduced
from hf_ext.ops.logsumexp import log_one_plus_sum_exp
from hf_ext.ops.precision import at_least_float32


def multilabel_softmax_loss(logits: Tensor, labels: Tensor, reduction: str = "mean") -> Tensor:
    """Multi-label softmax cross-entropy of hard labels.

    Args:
        logits: ``[..., C]``.
        labels: ``[..., C]`` of any type: 1 positive, 0 negative, -100 left out.
        reduction: "none" (``[...]``), "sum", or "mean" over the rows that have a label.

    Raises:
        ValueError: if shapes differ, there are no logits, or, on the CPU, a label is neither in [0, 1] nor -100 or a
            logit is NaN or +inf.
    """
    check_logits(logits)
    check_soft_labels(logits, labels)
    logits = at_least_float32(logits)
    negatives = logits.masked_fill(labels != 0, -torch.inf)
    positives = (-logits).masked_fill((labels <= 0) | (logits == -torch.inf), -torch.inf)
    losses = log_one_plus_sum_exp(negatives) + log_one_plus_sum_exp(positives)
    return reduced(losses, (labels != IGNORED).any(-1), reduction)


def soft_multilabel_softmax_loss(logits: Tensor, labels: Tensor, reduction: str = "mean") -> Tensor:
    """Multi-label softmax cross-entropy of soft labels: ``log(1 + sum (1-t) e^s) + log(1 + sum t e^-s)``.

    Args:
        logits: ``[..., C]``.
        labels: ``[..., C]`` in [0, 1], or -100 to leave a class out.
        reduction: "none" (``[...]``), "sum", or "mean" over the rows that have a label.

    Raises:
        ValueError: if shapes differ, there are no logits, or, on the CPU, a label is neither in [0, 1] nor -100 or a
            logit is NaN or +inf.
    """
    check_logits(logits)
    check_soft_labels(logits, labels)
    logits, targets = at_least_float32(logits), at_least_float32(labels)
    out = (targets < 0) | (logits == -torch.inf)
    targets = targets.clamp_min(0)
    negatives = (logits + torch.log1p(-targets)).masked_fill(out, -torch.inf)
    positives = (-logits + torch.log(targets)).masked_fill(out, -torch.inf)
    losses = log_one_plus_sum_exp(negatives) + log_one_plus_sum_exp(positives)
    return reduced(losses, (labels != IGNORED).any(-1), reduction)


def sparse_multilabel_softmax_loss(
    logits: Tensor, labels: Tensor, mask_zero: bool = False, reduction: str = "mean"
) -> Tensor:
    """Multi-label softmax cross-entropy of the positives' indices.

    The negatives are summed with the positives left out: the difference of two sums loses all digits once the positives
    prevail.

    Args:
        logits: ``[..., C]``.
        labels: ``[..., M]`` integers, the positive classes in any order, padded with -100; one given twice counts once.
        mask_zero: class 0 does not exist and 0 is padding too (as in bert4keras).
        reduction: "none" (``[...]``), "sum", or "mean" over all rows.

    Raises:
        ValueError: if there are no logits or, on the CPU, one is NaN or +inf.
        IndexError, RuntimeError: if a label is neither -100 nor in [0, C).
    """
    check_logits(logits)
    logits = at_least_float32(logits)
    if mask_zero:
        logits = torch.cat((torch.full_like(logits[..., :1], -torch.inf), logits[..., 1:]), dim=-1)
        labels = labels.masked_fill(labels == 0, -100)
    index, valid = distinct(labels)
    chosen = logits.gather(-1, index)
    zeros = torch.zeros_like(chosen)
    negatives = logits.scatter_add(-1, index, zeros.masked_fill(valid, -torch.inf))
    loss = log_one_plus_sum_exp(negatives) + log_one_plus_sum_exp((-chosen).masked_fill(~valid, -torch.inf))
    return reduced(loss, None, reduction)


def distinct(index: Tensor) -> tuple[Tensor, Tensor]:
    """Each index of a row once.

    Args:
        index: ``[..., M]`` integers, padded with -100.

    Returns:
        ``[..., M]`` indices in order, 0 where padded, and bool ``[..., M]``, False at padding and at repetitions.
    """
    ordered = index.long().sort(dim=-1).values
    valid = ordered != -100
    valid[..., 1:] &= ordered[..., 1:] != ordered[..., :-1]
    return ordered.masked_fill(ordered == -100, 0), valid


class MultiLabelSoftmaxLoss(nn.Module):
    """`multilabel_softmax_loss` as a module."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of ``logits`` and ``labels``, each ``[..., C]``."""
        return multilabel_softmax_loss(logits, labels, self.reduction)


class SoftMultiLabelSoftmaxLoss(nn.Module):
    """`soft_multilabel_softmax_loss` as a module."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of ``logits`` and ``labels``, each ``[..., C]``."""
        return soft_multilabel_softmax_loss(logits, labels, self.reduction)


class SparseMultiLabelSoftmaxLoss(nn.Module):
    """`sparse_multilabel_softmax_loss` as a module."""

    def __init__(self, mask_zero: bool = False, reduction: str = "mean") -> None:
        super().__init__()
        self.mask_zero = mask_zero
        self.reduction = reduction

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of ``logits`` ``[..., C]`` and ``labels`` ``[..., M]``."""
        return sparse_multilabel_softmax_loss(logits, labels, self.mask_zero, self.reduction)
