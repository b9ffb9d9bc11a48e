"""Classification losses by name, and their way into Transformers' Trainer."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from hf_ext.losses.multilabel_softmax import (
    multilabel_softmax_loss,
    soft_multilabel_softmax_loss,
    sparse_multilabel_softmax_loss,
)

LOSSES: dict[str, Callable[..., Tensor]] = {
    "multilabel_softmax": multilabel_softmax_loss,
    "soft_multilabel_softmax": soft_multilabel_softmax_loss,
    "sparse_multilabel_softmax": sparse_multilabel_softmax_loss,
}
"""Functions ``(logits, labels, **options)`` whose value is a mean over the rows that have a label (-100 is none)."""

_UNCOUNTABLE = frozenset({"sparse_multilabel_softmax"})


def for_trainer(name: str, **options: Any) -> Callable[..., Tensor]:
    """A loss of the table for ``Trainer(compute_loss_func=...)``, over the ``logits`` of any model.

    The value is the mean over all rows of an optimizer step, whatever the number of accumulation steps and processes:
    Trainer gives the number of label entries of the whole step, and each micro-batch weighs by its share of them.

    Args:
        name: a key of `LOSSES`.
        **options: passed on to the loss.

    Returns:
        ``compute_loss_func(outputs, labels, num_items_in_batch=None)``; it pickles.

    Raises:
        ValueError: if the name is unknown, or the loss takes labels whose number says nothing about the number of rows.
    """
    if name not in LOSSES:
        raise ValueError(f"name must be one of {', '.join(sorted(LOSSES))}, got {name!r}")
    if name in _UNCOUNTABLE:
        raise ValueError(
            f"name {name!r} cannot be weighted over accumulation steps: its labels are lists of varying length, "
            "and Trainer counts their entries only; give dense labels and 'multilabel_softmax'"
        )
    return partial(_compute_loss, name, options)


def _compute_loss(
    name: str,
    options: dict[str, Any],
    outputs: Any,
    labels: Tensor,
    num_items_in_batch: Tensor | int | None = None,
) -> Tensor:
    logits = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
    loss = LOSSES[name](logits, labels, **options)
    if num_items_in_batch is None:
        return loss
    return loss * (labels.ne(-100).sum() / torch.as_tensor(num_items_in_batch, device=loss.device))
