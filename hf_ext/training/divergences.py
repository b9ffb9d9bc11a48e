"""How far two passes of a model are apart, by what its logits mean: for R-Drop and virtual adversarial training."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from hf_ext.losses.pointer_divergence import pointer_divergence
from hf_ext.losses.r_drop import symmetric_divergence
from hf_ext.losses.rows import IGNORED, reduced
from hf_ext.ops.precision import at_least_float32

Divergence = Callable[[Any, Any, Any], Tensor]
"""Of the logits of two passes and the labels, or None, to a mean over the rows of the micro-batch."""


def output_divergence(first: Tensor, second: Tensor, labels: Tensor | None) -> Tensor:
    """How far two passes are apart, by the kind of labels: a mean over the rows that have one.

    Args:
        first: logits ``[..., C]``.
        second: logits of the same rows under another dropout mask.
        labels: class ids ``[...]``, for the divergence of softmax distributions, or ``[..., C]``, for the sum of those
            of a sigmoid for each class; -100 leaves out. None: class ids that are all there. Not shifted: a causal
            language model has `next_token_divergence`.

    Returns:
        scalar in float32 or better.

    Raises:
        ValueError: if the labels are of another shape, or the logits not one tensor.
    """
    if _of_classes(first, labels):
        return symmetric_divergence(*_log_softmax(first, second), _counted(labels))
    assert labels is not None
    out = labels == IGNORED
    first, second = first.masked_fill(out, 0), second.masked_fill(out, 0)
    # To the divergence of span scores a row of classes is a table of one row.
    sums = pointer_divergence(first.unsqueeze(-2), second.unsqueeze(-2), "sum")
    return sums / (~out).any(-1).sum().clamp(min=1)


def clean_divergence(clean: Tensor, other: Tensor, labels: Tensor | None) -> Tensor:
    """As `output_divergence`, but of class ids ``KL(clean || other)`` alone, as in virtual adversarial training.

    Args:
        clean: logits ``[..., C]`` that are what the others should be.
        other: logits of the same rows.
        labels: as of `output_divergence`; they say which rows count.

    Returns:
        scalar in float32 or better.

    Raises:
        ValueError: if the labels are of another shape, or the logits not one tensor.
    """
    if not _of_classes(clean, labels):
        return output_divergence(clean, other, labels)
    return _kl(*_log_softmax(clean, other), _counted(labels))


def next_token_divergence(first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
    """`output_divergence` of a causal language model, whose logits ``[B, L, V]`` are of the next token each.

    Args:
        first: logits of one pass.
        second: of the other.
        labels: ids ``[B, L]``, not shifted, -100 at tokens that are not asked for.
    """
    return output_divergence(first[:, :-1], second[:, :-1], labels[:, 1:])


def clean_next_token_divergence(clean: Tensor, other: Tensor, labels: Tensor) -> Tensor:
    """`clean_divergence` of the same. Arguments as of `next_token_divergence`."""
    return clean_divergence(clean[:, :-1], other[:, :-1], labels[:, 1:])


def pointer_tables_divergence(
    first: Tensor | Sequence[Tensor], second: Tensor | Sequence[Tensor], labels: Tensor | None = None
) -> Tensor:
    """`pointer_divergence` of a GlobalPointer, or the sum of those of the three of a GPLinker (kexue.fm/archives/9039).

    Args:
        first: scores ``[B, C, L, L]``, or several such tables, -inf where no span may stand.
        second: the same of the other pass.
        labels: not read, as all spans count.

    Returns:
        The mean over rows and types of the sum over spans, in float32 or better: a weight of 1 is one for each row and
        type.
    """
    if isinstance(first, Tensor):
        first, second = (first,), (second,)  # type: ignore[assignment]
    return torch.stack([pointer_divergence(one, other) for one, other in zip(first, second, strict=True)]).sum()


def span_divergence(first: Tensor, second: Tensor, labels: Tensor | None = None) -> Tensor:
    """`symmetric_divergence` of softmax distributions over the spans of each row, as reading comprehension has them.

    Args:
        first: scores ``[B, L, L]``, -inf where no span may stand.
        second: the same of the other pass.
        labels: (start, end) ``[B, 2]``, -100 in rows that are left out; None: all rows count.
    """
    return symmetric_divergence(*_log_softmax(first.flatten(1), second.flatten(1)), _counted(labels, 0))


def clean_span_divergence(clean: Tensor, other: Tensor, labels: Tensor | None = None) -> Tensor:
    """``KL(clean || other)`` of the same. Arguments as of `span_divergence`."""
    return _kl(*_log_softmax(clean.flatten(1), other.flatten(1)), _counted(labels, 0))


def _of_classes(logits: Any, labels: Tensor | None) -> bool:
    """Whether the labels are ids of classes, and not a label for each."""
    if not isinstance(logits, Tensor):
        raise ValueError(f"logits must be one tensor, got {len(logits)} of them; give a divergence")
    if labels is None or labels.shape == logits.shape[:-1]:
        return True
    if labels.shape == logits.shape:
        return False
    shapes = f"{tuple(logits.shape[:-1])} or {tuple(logits.shape)}"
    raise ValueError(
        f"labels must have the shape {shapes} of the logits, got {tuple(labels.shape)}; or give a divergence"
    )


def _counted(labels: Tensor | None, column: int | None = None) -> Tensor | None:
    """Which rows have a label, of a column of labels if they have several."""
    if labels is None:
        return None
    return (labels if column is None else labels[:, column]) != IGNORED


def _log_softmax(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    return at_least_float32(first).log_softmax(-1), at_least_float32(second).log_softmax(-1)


def _kl(clean: Tensor, other: Tensor, counted: Tensor | None) -> Tensor:
    """Mean of ``KL(p || q)`` of log-probabilities ``[..., C]``, -inf for a class that is not there."""
    out = (clean == -torch.inf) & (other == -torch.inf)
    if counted is not None:
        out = out | ~counted.unsqueeze(-1)
    clean, other = clean.masked_fill(out, 0), other.masked_fill(out, 0)
    # Where a class is left out on both sides the difference is 0.
    return reduced((clean.exp() * (clean - other)).sum(-1), counted, "mean")
