"""Accuracy and F1 with probabilities in place of decisions, as losses (kexue.fm/archives/6620 and 7708)."""

import torch
from torch import Tensor, nn

from hf_ext.losses.rows import class_rows, multi_label_rows, reduced
from hf_ext.ops.logsumexp import log_odds


def smooth_accuracy_loss(logits: Tensor, labels: Tensor, reduction: str = "mean") -> Tensor:
    """``1 - p`` of the softmax probability p of each row's class: the error rate of drawing the class from the softmax.

    Its gradient is ``p`` times that of cross-entropy, so it hardly learns from rows it has quite wrong: start with
    cross-entropy.

    Args:
        logits: ``[..., C]``; -inf is a class that is not there.
        labels: ``[...]`` class ids, -100 to leave a row out.
        reduction: "none" (``[...]``), "sum" or "mean" over the rows that have a label.

    Raises:
        ValueError: if an argument does not fit.
    """
    logits, labels, counted = class_rows(logits, labels)
    return reduced(torch.sigmoid(-log_odds(logits, labels)), counted, reduction)


def smooth_f1_loss(logits: Tensor, labels: Tensor, average: str = "micro") -> Tensor:
    """``1 - 2 sum(y p) / sum(y + p)`` with the sigmoid p of each logit.

    F1 belongs to a whole batch: the larger, the better, and micro-batches do not add up to one.

    Args:
        logits: ``[..., C]``.
        labels: ``[..., C]`` in [0, 1], -100 to leave a class of a row out.
        average: "micro" sums over everything; "macro" is the mean of the classes that have a label.

    Returns:
        scalar in float32 or better, in [0, 1].

    Raises:
        ValueError: if an argument does not fit.
    """
    if average not in ("micro", "macro"):
        raise ValueError(f"average must be 'micro' or 'macro', got {average!r}")
    logits, labels, counted = multi_label_rows(logits, labels)
    width = 1 if average == "micro" else logits.shape[-1]
    logits, labels, counted = (x.reshape(-1, width) for x in (logits, labels, counted))
    p, q = torch.sigmoid(logits) * counted, torch.sigmoid(-logits) * counted
    # 1 minus the fraction, as one fraction of sums of what is not negative.
    size = (labels + p).sum(0).clamp_min(torch.finfo(p.dtype).tiny)
    return reduced((labels * q + (1 - labels) * p).sum(0) / size, counted.any(0), "mean")


class SmoothAccuracyLoss(nn.Module):
    """`smooth_accuracy_loss` as a module."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of ``logits`` ``[..., C]`` and ``labels`` ``[...]``."""
        return smooth_accuracy_loss(logits, labels, self.reduction)


class SmoothF1Loss(nn.Module):
    """`smooth_f1_loss` as a module."""

    def __init__(self, average: str = "micro") -> None:
        super().__init__()
        self.average = average

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of ``logits`` and ``labels``, each ``[..., C]``."""
        return smooth_f1_loss(logits, labels, self.average)
