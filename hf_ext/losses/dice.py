"""Self-adjusting dice loss, for classes of which one prevails (arXiv 1911.02855)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hf_ext.losses.rows import check_at_least, check_positive, class_rows, multi_label_rows, reduced


def dice_loss(
    logits: Tensor, labels: Tensor, alpha: float = 1.0, smooth: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """Dice loss: ``1 - (2 q y + smooth) / (q + y + smooth)`` with ``q = (1 - p)^alpha p``, averaged over classes.

    p is the softmax probability of a class, y is 1 for the row's own class and 0 for the others. As q is largest at
    ``p = 1 / (1 + alpha)``, a positive is lifted to there and no further: with alpha 1 just to the decision.

    Args:
        logits: ``[..., C]``; -inf is a class that is not there.
        labels: ``[...]`` class ids, -100 to leave a row out.
        alpha: how much what is already right is left alone; 0 for the plain dice loss.
        smooth: above 0.
        reduction: "none" (``[...]``), "sum" or "mean" over the rows that have a label.

    Raises:
        ValueError: if an argument does not fit.
    """
    logits, labels, counted = class_rows(logits, labels)
    there = logits > -torch.inf
    target = F.one_hot(labels, logits.shape[-1]).to(logits.dtype)
    losses = _dice(logits.log_softmax(-1), target, alpha, smooth).masked_fill(~there, 0)
    return reduced(losses.sum(-1) / there.sum(-1), counted, reduction)


def binary_dice_loss(
    logits: Tensor, labels: Tensor, alpha: float = 1.0, smooth: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """`dice_loss` of each class by itself, with a sigmoid.

    Args:
        logits: ``[..., C]``.
        labels: ``[..., C]`` in [0, 1], -100 to leave a class out.
        alpha: as in `dice_loss`.
        smooth: above 0.
        reduction: "none" (``[...]``), "sum" or "mean" over the rows that have a label.

    Raises:
        ValueError: if an argument does not fit.
    """
    logits, labels, counted = multi_label_rows(logits, labels)
    losses = _dice(F.logsigmoid(logits), labels, alpha, smooth).masked_fill(~counted, 0)
    return reduced(losses.sum(-1) / counted.sum(-1).clamp(min=1), counted.any(-1), reduction)


def _dice(logp: Tensor, target: Tensor, alpha: float, smooth: float) -> Tensor:
    check_at_least("alpha", alpha, 0)
    check_positive("smooth", smooth)
    # Bounded, as (1 - p)^alpha has an infinite slope at p = 1 if alpha is below 1.
    wrong = (-torch.expm1(logp)).clamp_min(torch.finfo(logp.dtype).tiny)
    q = wrong**alpha * logp.exp()
    # 1 minus the fraction, as one fraction that cannot be negative for a target of 0 or 1.
    return (q + target - 2 * q * target) / (q + target + smooth)


class DiceLoss(nn.Module):
    """`dice_loss` as a module."""

    def __init__(self, alpha: float = 1.0, smooth: float = 1.0, reduction: str = "mean") -> None:
        super().__init__()
        self.alpha = alpha
        self.smooth = smooth
        self.reduction = reduction

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of ``logits`` ``[..., C]`` and ``labels`` ``[...]``."""
        return dice_loss(logits, labels, self.alpha, self.smooth, self.reduction)


class BinaryDiceLoss(nn.Module):
    """`binary_dice_loss` as a module."""

    def __init__(self, alpha: float = 1.0, smooth: float = 1.0, reduction: str = "mean") -> None:
        super().__init__()
        self.alpha = alpha
        self.smooth = smooth
        self.reduction = reduction

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of ``logits`` and ``labels``, each ``[..., C]``."""
        return binary_dice_loss(logits, labels, self.alpha, self.smooth, self.reduction)
