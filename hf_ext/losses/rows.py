"""What losses of rows have in common: checked logits and labels, and the way from values of rows to one number.

Values are looked at on the CPU only: on a GPU looking would wait for it, and a compiled graph cannot.
"""

import torch
from torch import Tensor

from hf_ext.ops.graphs import in_graph
from hf_ext.ops.precision import at_least_float32

IGNORED = -100
"""Label of what is left out, Transformers' own."""


def class_rows(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Check logits and class ids.

    Args:
        logits: ``[..., C]``; -inf is a class that is not there.
        labels: integers ``[...]`` in [0, C), -100 to leave a row out.

    Returns:
        logits in float32 or better, 0 in rows left out; labels, 0 there; and bool ``[...]``, which rows count.

    Raises:
        ValueError: if shapes do not fit, there are no logits, or, on the CPU, a label is out of range or a logit is NaN
            or +inf.
    """
    check_logits(logits)
    if labels.shape != logits.shape[:-1] or labels.is_floating_point():
        wanted = f"integers of shape {tuple(logits.shape[:-1])}"
        raise ValueError(f"labels must be {wanted}, got {labels.dtype} of shape {tuple(labels.shape)}")
    counted = labels != IGNORED
    if can_look(labels):
        wrong = labels[counted & ((labels < 0) | (labels >= logits.shape[-1]))]
        if len(wrong):
            raise ValueError(f"labels must be in [0, {logits.shape[-1]}) or {IGNORED}, got {int(wrong[0])}")
    return (
        at_least_float32(logits).masked_fill(~counted.unsqueeze(-1), 0),
        labels.long().masked_fill(~counted, 0),
        counted,
    )


def multi_label_rows(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Check logits and a label for each class.

    Args:
        logits: ``[..., C]``; -inf is a class that is not there.
        labels: ``[..., C]`` in [0, 1], -100 to leave a class out.

    Returns:
        logits in float32 or better, 0 where left out; labels of the same type, 0 there; bool ``[..., C]``, which count.

    Raises:
        ValueError: if shapes do not fit, there are no logits, or, on the CPU, a label is out of range or a logit is NaN
            or +inf.
    """
    check_logits(logits)
    check_soft_labels(logits, labels)
    counted = (labels != IGNORED) & (logits != -torch.inf)
    logits = at_least_float32(logits)
    return logits.masked_fill(~counted, 0), labels.to(logits.dtype).masked_fill(~counted, 0), counted


def check_logits(logits: Tensor, name: str = "logits") -> None:
    """Raise ValueError if there are no logits or, on the CPU, one is NaN or +inf."""
    check_some(logits, name)
    if can_look(logits):
        # The largest is NaN where any is.
        largest = float(logits.detach().max())
        if not largest < torch.inf:
            raise ValueError(f"{name} must be numbers or -inf, got {largest}")


def check_some(numbers: Tensor, name: str) -> None:
    """Raise ValueError if there are none, of which a mean would be NaN, or they are no floats."""
    if not numbers.numel() or not numbers.is_floating_point():
        raise ValueError(f"{name} must be floats, at least one, got {numbers.dtype} of shape {tuple(numbers.shape)}")


def check_soft_labels(logits: Tensor, labels: Tensor) -> None:
    """Raise ValueError if labels have another shape or, on the CPU, one is neither in [0, 1] nor -100."""
    if labels.shape != logits.shape:
        raise ValueError(f"labels must have shape {tuple(logits.shape)}, got {tuple(labels.shape)}")
    if can_look(labels):
        wrong = labels[(labels != IGNORED) & ~((labels >= 0) & (labels <= 1))]
        if len(wrong):
            raise ValueError(f"labels must be in [0, 1] or {IGNORED}, got {float(wrong[0]):g}")


def can_look(tensor: Tensor) -> bool:
    """Whether values can be looked at without waiting for a GPU or breaking a graph."""
    return tensor.device.type == "cpu" and not in_graph()


def reduced(values: Tensor, counted: Tensor | None, reduction: str) -> Tensor:
    """Values of rows to one number.

    Args:
        values: ``[...]``; what is left out is made 0.
        counted: bool ``[...]``, which rows count; None: all.
        reduction: "none" (``[...]``), "sum", or "mean" over the rows that count, 0 if none does.

    Raises:
        ValueError: if the reduction is another.
    """
    if reduction not in ("none", "sum", "mean"):
        raise ValueError(f"reduction must be 'none', 'sum' or 'mean', got {reduction!r}")
    if counted is not None:
        values = values.masked_fill(~counted, 0)
    if reduction == "none":
        return values
    if reduction == "sum":
        return values.sum()
    return values.mean() if counted is None else values.sum() / counted.sum().clamp(min=1)


def check_at_least(name: str, value: float, least: float) -> None:
    """Raise ValueError if a setting is less than it may be."""
    if not value >= least:
        raise ValueError(f"{name} must be at least {least:g}, got {value!r}")


def check_positive(name: str, value: float) -> None:
    """Raise ValueError if a setting is not above 0."""
    if not value > 0:
        raise ValueError(f"{name} must be above 0, got {value!r}")
