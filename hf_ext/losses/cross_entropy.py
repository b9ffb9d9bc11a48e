"""Softmax cross-entropy with class weights, label smoothing and a temperature (kexue.fm/archives/7708)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hf_ext.losses.rows import check_positive, class_rows, reduced


def cross_entropy_loss(
    logits: Tensor,
    labels: Tensor,
    weight: Tensor | Sequence[float] | None = None,
    label_smoothing: float = 0.0,
    temperature: float = 1.0,
    reduction: str = "mean",
) -> Tensor:
    """Softmax cross-entropy of class ids.

    Args:
        logits: ``[..., C]``; -inf is a class that is not there.
        labels: ``[...]`` class ids, -100 to leave a row out.
        weight: ``[C]`` factors of the rows of each class, as `class_balanced_weights` gives them. The mean is over
            rows, whatever their weights, so that micro-batches add up.
        label_smoothing: part of each target that is spread evenly over all classes that are there.
        temperature: what logits are divided by; above 1 the distribution is flatter.
        reduction: "none" (``[...]``), "sum" or "mean" over the rows that have a label.

    Returns:
        The loss in float32 or better.

    Raises:
        ValueError: if an argument does not fit.
    """
    check_positive("temperature", temperature)
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing!r}")
    logits, labels, counted = class_rows(logits, labels)
    logp = (logits / temperature).log_softmax(-1)
    losses = -logp.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    if label_smoothing:
        there = logits > -torch.inf
        spread = -logp.masked_fill(~there, 0).sum(-1) / there.sum(-1)
        losses = (1 - label_smoothing) * losses + label_smoothing * spread
    if weight is not None:
        losses = losses * class_factors("weight", weight, logits, least=0)[labels]
    return reduced(losses, counted, reduction)


def class_balanced_weights(counts: Tensor | Sequence[float], beta: float = 0.9999) -> Tensor:
    """Weights by the effective number of samples, ``(1 - beta) / (1 - beta^n)`` (arXiv 1901.05555).

    Args:
        counts: ``[C]`` samples of each class.
        beta: 0 gives even weights, 1 those of the inverse frequency.

    Returns:
        float32 ``[C]``, 1 on average over the classes that occur, 0 for the others.

    Raises:
        ValueError: if ``beta`` is outside [0, 1], or a count is negative or all are 0.
    """
    if not 0 <= beta <= 1:
        raise ValueError(f"beta must be in [0, 1], got {beta!r}")
    numbers = torch.as_tensor(counts, dtype=torch.float64)
    if numbers.ndim != 1 or not (numbers >= 0).all() or not numbers.any():
        raise ValueError(f"counts must be [C], none below 0 and one above, got {numbers.tolist()}")
    occurs = numbers > 0
    effective = numbers if beta == 1 else -torch.expm1(numbers * numbers.new_tensor(beta).log())
    weights = torch.where(occurs, 1 / effective.masked_fill(~occurs, 1), 0)
    return (weights * occurs.sum() / weights.sum()).float()


def class_factors(name: str, values: Tensor | Sequence[float], logits: Tensor, least: float) -> Tensor:
    """A number for each class, ``[C]``, beside ``logits``.

    Raises:
        ValueError: if there is another number of them, or one is below ``least``.
    """
    factors = torch.as_tensor(values, dtype=logits.dtype)
    if factors.shape != logits.shape[-1:] or not bool((factors >= least).all()):
        wanted = f"{logits.shape[-1]} numbers of at least {least:g}"
        raise ValueError(f"{name} must be {wanted}, one for each class, got {factors.tolist()}")
    return factors.to(logits.device)


class CrossEntropyLoss(nn.Module):
    """`cross_entropy_loss` as a module."""

    def __init__(
        self,
        weight: Tensor | Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        temperature: float = 1.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.weight: Tensor | None
        self.register_buffer("weight", None if weight is None else torch.as_tensor(weight, dtype=torch.float32))
        self.label_smoothing = label_smoothing
        self.temperature = temperature
        self.reduction = reduction

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of ``logits`` ``[..., C]`` and ``labels`` ``[...]``."""
        return cross_entropy_loss(logits, labels, self.weight, self.label_smoothing, self.temperature, self.reduction)
