"""Distillation: a model's distribution over classes should be a teacher's, both softened (arXiv 1503.02531)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hf_ext.losses.rows import IGNORED, check_logits, check_positive, reduced
from hf_ext.ops.precision import at_least_float32


def distillation_loss(logits: Tensor, teacher: Tensor, temperature: float = 2.0, reduction: str = "mean") -> Tensor:
    """``T^2 KL(softmax(teacher / T) || softmax(logits / T))`` of each row, as PET has it (arXiv 2001.07676).

    Args:
        logits: ``[..., C]`` of the model that learns.
        teacher: ``[..., C]``, scores of the same classes before a softmax; -inf is a class that is not there, and a
            row of -100 is left out.
        temperature: T.
        reduction: "none" (``[...]``), "sum", or "mean" over the rows that count.

    Returns:
        The loss in float32 or better.

    Raises:
        ValueError: if shapes differ, the temperature is not above 0, or, on the CPU, a logit is NaN or +inf.
    """
    check_positive("temperature", temperature)
    check_logits(logits)
    check_logits(teacher, "teacher")
    if logits.shape != teacher.shape:
        raise ValueError(f"teacher must have the shape of logits, {tuple(logits.shape)}, got {tuple(teacher.shape)}")
    counted = (teacher != IGNORED).any(-1)
    own = at_least_float32(logits).masked_fill(~counted.unsqueeze(-1), 0)
    wanted = at_least_float32(teacher).masked_fill(~counted.unsqueeze(-1), 0)
    own, wanted = ((one / temperature).log_softmax(-1) for one in (own, wanted))
    absent = wanted == -torch.inf
    # Nothing times minus infinity is no number.
    difference = wanted.masked_fill(absent, 0) - own.masked_fill(absent, 0)
    return reduced(temperature**2 * (wanted.exp() * difference).sum(-1), counted, reduction)


class DistillationLoss(nn.Module):
    """`distillation_loss` as a module."""

    def __init__(self, temperature: float = 2.0, reduction: str = "mean") -> None:
        super().__init__()
        self.temperature = temperature
        self.reduction = reduction

    def forward(self, logits: Tensor, teacher: Tensor) -> Tensor:
        """Loss of ``logits`` and ``teacher``, each ``[..., C]``."""
        return distillation_loss(logits, teacher, self.temperature, self.reduction)


def distillation_for_trainer(temperature: float = 2.0) -> Callable[..., Tensor]:
    """The loss for ``Trainer(compute_loss_func=...)`` of rows whose ``labels`` ``[B, C]`` are a teacher's scores.

    The value is the mean over the rows of an optimizer step, whatever the number of accumulation steps.

    Raises:
        ValueError: if the temperature is not above 0.
    """
    check_positive("temperature", temperature)
    return partial(_compute_loss, temperature)


def _compute_loss(
    temperature: float, outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None
) -> Tensor:
    logits = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
    loss = distillation_loss(logits, labels, temperature)
    if num_items_in_batch is None:
        return loss
    # Trainer counts the entries.
    return loss * (labels.ne(IGNORED).sum() / torch.as_tensor(num_items_in_batch, device=loss.device))
