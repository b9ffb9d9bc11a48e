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
    errors, sizes, counted = smooth_f1_sums(*multi_label_rows(logits, labels), average)
    return reduced(errors / sizes, counted, "mean")


def smooth_f1_sums(logits: Tensor, labels: Tensor, counted: Tensor, average: str) -> tuple[Tensor, Tensor, Tensor]:
    """What 1 - F1 is a fraction of, with a probability in place of each decision: sums, of which none is negative.

    Args:
        logits: ``[..., C]`` as `hf_ext.losses.rows.multi_label_rows` gives them.
        labels: the same.
        counted: the same.
        average: "micro" for one sum over everything, "macro" for one of each class.

    Returns:
        ``sum(y (1 - p) + (1 - y) p)``, ``sum(y + p)``, and whether a label was counted, each ``[1]`` or ``[C]``.

    Raises:
        ValueError: if the average is another.
    """
    if average not in ("micro", "macro"):
        raise ValueError(f"average must be 'micro' or 'macro', got {average!r}")
    width = 1 if average == "micro" else logits.shape[-1]
    logits, labels, counted = (x.reshape(-1, width) for x in (logits, labels, counted))
    p, q = torch.sigmoid(logits) * counted, torch.sigmoid(-logits) * counted
    sizes = (labels + p).sum(0).clamp_min(torch.finfo(p.dtype).tiny)
    return (labels * q + (1 - labels) * p).sum(0), sizes, counted.any(0)


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
