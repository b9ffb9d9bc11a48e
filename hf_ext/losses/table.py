"""Classification losses by name, and their way into Transformers' Trainer."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import Any, Literal

import torch
from torch import Tensor

from hf_ext.losses.cosent import cosent_loss
from hf_ext.losses.cross_entropy import cross_entropy_loss
from hf_ext.losses.dice import binary_dice_loss, dice_loss
from hf_ext.losses.exact import exact_loss
from hf_ext.losses.f1_weighted import f1_weighted_cross_entropy
from hf_ext.losses.focal import binary_focal_loss, focal_loss
from hf_ext.losses.joint_softmax import joint_softmax_loss
from hf_ext.losses.logit_adjustment import logit_adjusted_loss
from hf_ext.losses.multilabel_softmax import (
    multilabel_softmax_loss,
    soft_multilabel_softmax_loss,
    sparse_multilabel_softmax_loss,
)
from hf_ext.losses.noise import noise_cross_entropy_loss
from hf_ext.losses.smooth_metrics import smooth_accuracy_loss, smooth_f1_loss


@dataclass(frozen=True)
class Loss:
    """A row of the table.

    Args:
        function: as in `LOSSES`.
        kind: of the labels that it takes: one class each ("single"), or any number of classes ("multi"); None: others.
        whole_batch: whether it compares the rows of a batch with each other, so that micro-batches do not add up to it.
        countable: whether the number of label entries says how many rows have one, as Trainer takes it.
    """

    function: Callable[..., Tensor]
    kind: Literal["single", "multi"] | None
    whole_batch: bool = False
    countable: bool = True


# The first of a kind is the one that a classification job takes unless told otherwise.
_TABLE = {
    "cross_entropy": Loss(cross_entropy_loss, "single"),
    "dice": Loss(dice_loss, "single"),
    "exact": Loss(exact_loss, "single"),
    "focal": Loss(focal_loss, "single"),
    "logit_adjusted": Loss(logit_adjusted_loss, "single"),
    "noise_cross_entropy": Loss(noise_cross_entropy_loss, "single"),
    "smooth_accuracy": Loss(smooth_accuracy_loss, "single"),
    "multilabel_softmax": Loss(multilabel_softmax_loss, "multi"),
    "binary_dice": Loss(binary_dice_loss, "multi"),
    "binary_focal": Loss(binary_focal_loss, "multi"),
    "f1_weighted": Loss(f1_weighted_cross_entropy, "multi", whole_batch=True),
    "smooth_f1": Loss(smooth_f1_loss, "multi", whole_batch=True),
    "soft_multilabel_softmax": Loss(soft_multilabel_softmax_loss, "multi"),
    "sparse_multilabel_softmax": Loss(sparse_multilabel_softmax_loss, "multi", countable=False),
    "cosent": Loss(cosent_loss, None, whole_batch=True),
    "joint_softmax": Loss(joint_softmax_loss, None),
}

LOSSES: dict[str, Callable[..., Tensor]] = {name: loss.function for name, loss in _TABLE.items()}
"""Functions ``(logits, labels, **options)`` whose value is a mean over the rows that have a label (-100 means none)."""

WHOLE_BATCH = frozenset(name for name, loss in _TABLE.items() if loss.whole_batch)
"""Those that compare the rows of a batch with each other, so that micro-batches do not add up to it."""

SINGLE_LABEL_LOSSES, MULTI_LABEL_LOSSES = (
    tuple(name for name, loss in _TABLE.items() if loss.kind == kind and loss.countable) for kind in ("single", "multi")
)
"""Those that Trainer can take for texts with one class each, and with any number of classes; the usual one first."""


def for_trainer(name: str, **options: Any) -> Callable[..., Tensor]:
    """A loss of the table for ``Trainer(compute_loss_func=...)``, over the ``logits`` of any model.

    The value is the mean over all rows of an optimizer step, whatever the number of accumulation steps and processes:
    Trainer gives the number of label entries of the whole step, and each micro-batch weighs by its share of them. A
    loss of `WHOLE_BATCH` is taken within each micro-batch, and these values are averaged in the same way.

    Args:
        name: a key of `LOSSES`.
        **options: passed on to the loss (``gamma=1.0``).

    Returns:
        ``compute_loss_func(outputs, labels, num_items_in_batch=None)``; it pickles.

    Raises:
        ValueError: if the name is unknown, the loss has no such option, or it takes labels whose number says nothing
            about the number of rows.
    """
    if name not in LOSSES:
        raise ValueError(f"name must be one of {', '.join(sorted(LOSSES))}, got {name!r}")
    if not _TABLE[name].countable:
        raise ValueError(
            f"name {name!r} cannot be weighted over accumulation steps: its labels are lists of varying length, "
            "and Trainer counts their entries only; give dense labels and 'multilabel_softmax'"
        )
    known = list(signature(LOSSES[name]).parameters)[2:]
    unknown = sorted({*options} - {*known} | {*options} & {"reduction"})
    if unknown:
        choices = ", ".join(option for option in known if option != "reduction") or "none"
        raise ValueError(f"options of {name!r} must be among {choices}, got {', '.join(unknown)}")
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
