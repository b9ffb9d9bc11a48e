"""The loss of classification heads, divided as Trainer needs it."""

import torch
from torch import Tensor
from torch.nn import functional as F

from hf_ext.ops.graphs import in_graph

_PROBLEM_TYPES = ("single_label_classification", "multi_label_classification", "regression")


def classification_loss(
    logits: Tensor, labels: Tensor, problem_type: str | None = None, num_items_in_batch: Tensor | int | None = None
) -> Tensor:
    """Cross-entropy, binary cross-entropy of each class, or squared error, by the kind of labels.

    Args:
        logits: ``[B, C]``.
        labels: ``[B]`` class ids, -100 to leave out; ``[B, C]`` floats in [0, 1]; or targets ``[B]`` or ``[B, C]``.
        problem_type: one of Transformers' names; None: regression if C is 1, classes for integers, else multi-label.
        num_items_in_batch: number of labels over all accumulation steps and processes, to divide the sum by; None:
            the mean of this batch.

    Returns:
        A scalar, in float32 or better.

    Raises:
        ValueError: if the name is unknown, shapes do not fit or a class id is out of range.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    classes = logits.shape[-1]
    if problem_type is None:
        integers = not labels.is_floating_point()
        problem_type = "regression" if classes == 1 else _PROBLEM_TYPES[0] if integers else _PROBLEM_TYPES[1]
    if problem_type == "single_label_classification":
        if labels.shape != logits.shape[:1]:
            raise ValueError(f"labels must have shape {tuple(logits.shape[:1])}, got {tuple(labels.shape)}")
        # Under compilation, and on a GPU where looking would wait for it, the kernel's own check has to do.
        if labels.device.type == "cpu" and not in_graph():
            wrong = labels[((labels < 0) | (labels >= classes)) & (labels != -100)]
            if len(wrong):
                raise ValueError(f"labels must be in [0, {classes}) or -100, got {int(wrong[0])}")
        total, count = F.cross_entropy(logits, labels, reduction="sum"), (labels != -100).sum()
    elif problem_type in _PROBLEM_TYPES:
        targets = labels.to(logits.dtype)
        targets = targets[:, None] if targets.shape == logits.shape[:1] else targets
        if targets.shape != logits.shape:
            raise ValueError(f"labels must have shape {tuple(logits.shape)}, got {tuple(labels.shape)}")
        function = F.mse_loss if problem_type == "regression" else F.binary_cross_entropy_with_logits
        total, count = function(logits, targets, reduction="sum"), logits.new_tensor(logits.numel())
    else:
        raise ValueError(f"problem_type must be one of {_PROBLEM_TYPES} or None, got {problem_type!r}")
    return total / (count.clamp(min=1) if num_items_in_batch is None else num_items_in_batch)
