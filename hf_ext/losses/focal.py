"""Focal loss: cross-entropy that cares less for what is already right (arXiv 1708.02002; kexue.fm/archives/7708)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hf_ext.losses.cross_entropy import class_factors
from hf_ext.losses.rows import check_at_least, class_rows, multi_label_rows, reduced
from hf_ext.ops.logsumexp import log_odds


def focal_loss(
    logits: Tensor,
    labels: Tensor,
    gamma: float = 2.0,
    weight: Tensor | Sequence[float] | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Focal loss: ``-(1 - p)^gamma log p`` of the softmax probability p of each row's class.

    Args:
        logits: ``[..., C]``; -inf is a class that is not there.
        labels: ``[...]`` class ids, -100 to leave a row out.
        gamma: 0 is cross-entropy.
        weight: ``[C]`` factors of the rows of each class.
        reduction: "none" (``[...]``), "sum" or "mean" over the rows that have a label.

    Raises:
        ValueError: if an argument does not fit.
    """
    check_at_least("gamma", gamma, 0)
    logits, labels, counted = class_rows(logits, labels)
    losses = _focal(log_odds(logits, labels), gamma)
    if weight is not None:
        losses = losses * class_factors("weight", weight, logits, least=0)[labels]
    return reduced(losses, counted, reduction)


def binary_focal_loss(
    logits: Tensor, labels: Tensor, gamma: float = 2.0, alpha: float | None = None, reduction: str = "mean"
) -> Tensor:
    """Focal loss of each class by itself, with a sigmoid; a row's value is the mean over its classes.

    Args:
        logits: ``[..., C]``.
        labels: ``[..., C]`` in [0, 1], -100 to leave a class out.
        gamma: 0 is cross-entropy.
        alpha: factor of the positives, those of the negatives being 1 - alpha; None weighs neither.
        reduction: "none" (``[...]``), "sum" or "mean" over the rows that have a label.

    Raises:
        ValueError: if an argument does not fit.
    """
    check_at_least("gamma", gamma, 0)
    if alpha is not None and not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be in [0, 1] or None, got {alpha!r}")
    logits, labels, counted = multi_label_rows(logits, labels)
    positive, negative = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    losses = positive * labels * _focal(logits, gamma) + negative * (1 - labels) * _focal(-logits, gamma)
    sums = losses.masked_fill(~counted, 0).sum(-1)
    return reduced(sums / counted.sum(-1).clamp(min=1), counted.any(-1), reduction)


def _focal(odds: Tensor, gamma: float) -> Tensor:
    # In logarithms, as (1 - p)^gamma has an infinite slope at p = 1 if gamma is below 1.
    return torch.exp(-gamma * F.softplus(odds)) * F.softplus(-odds)


class FocalLoss(nn.Module):
    """`focal_loss` as a module."""

    def __init__(
        self, gamma: float = 2.0, weight: Tensor | Sequence[float] | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__()
        self.weight: Tensor | None
        self.register_buffer("weight", None if weight is None else torch.as_tensor(weight, dtype=torch.float32))
        self.gamma = gamma
        self.reduction = reduction

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of ``logits`` ``[..., C]`` and ``labels`` ``[...]``."""
        return focal_loss(logits, labels, self.gamma, self.weight, self.reduction)


class BinaryFocalLoss(nn.Module):
    """`binary_focal_loss` as a module."""

    def __init__(self, gamma: float = 2.0, alpha: float | None = None, reduction: str = "mean") -> None:
        super().__init__()
        self.gamma = gamma
        self.alpha = alpha
        self.reduction = reduction

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of ``logits`` and ``labels``, each ``[..., C]``."""
        return binary_focal_loss(logits, labels, self.gamma, self.alpha, self.reduction)
