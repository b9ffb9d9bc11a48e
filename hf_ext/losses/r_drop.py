"""R-Drop: two passes under dropout should agree (arXiv 2106.14448; kexue.fm/archives/8496)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from hf_ext.losses.cross_entropy import cross_entropy_loss
from hf_ext.losses.rows import check_at_least, reduced
from hf_ext.ops.pointer import wide


def symmetric_divergence(
    first: Tensor, second: Tensor, counted: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """``KL(p || q) + KL(q || p) = sum (p - q) (log p - log q)`` of each row.

    Args:
        first: log-probabilities ``[..., C]``, as ``logits.log_softmax(-1)`` gives them; -inf for a class not there.
        second: the same of another pass.
        counted: bool ``[...]``, which rows count; None: all.
        reduction: "none" (``[...]``), "sum" or "mean" over the rows that count.

    Returns:
        The divergence in float32 or better.

    Raises:
        ValueError: if shapes differ.
    """
    if first.shape != second.shape:
        raise ValueError(f"second must have the shape of first, {tuple(first.shape)}, got {tuple(second.shape)}")
    first, second = wide(first), wide(second)
    neither = (first == -torch.inf) & (second == -torch.inf)
    if counted is not None:
        neither = neither | ~counted.unsqueeze(-1)
    first, second = first.masked_fill(neither, 0), second.masked_fill(neither, 0)
    return reduced(((first.exp() - second.exp()) * (first - second)).sum(-1), counted, reduction)


def r_drop_loss(
    first: Tensor,
    second: Tensor,
    labels: Tensor,
    alpha: float = 4.0,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy_loss,
) -> Tensor:
    """Mean loss of two passes plus ``alpha / 4`` times their symmetric divergence.

    Args:
        first: logits ``[..., C]`` of one pass.
        second: logits of the same rows under another dropout mask.
        labels: ``[...]`` class ids, -100 to leave a row out; or what ``loss`` takes, if no row is to be left out.
        alpha: weight of the divergence, as in the original's code.
        loss: the loss of one pass, ``(logits, labels)`` to a scalar.

    Returns:
        scalar in float32 or better.

    Raises:
        ValueError: if an argument does not fit.
    """
    check_at_least("alpha", alpha, 0)
    base = (loss(first, labels) + loss(second, labels)) / 2
    counted = labels != -100 if labels.shape == first.shape[:-1] else None
    divergence = symmetric_divergence(wide(first).log_softmax(-1), wide(second).log_softmax(-1), counted)
    return base + alpha / 4 * divergence


class RDropLoss(nn.Module):
    """`r_drop_loss` as a module."""

    def __init__(self, alpha: float = 4.0, loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy_loss) -> None:
        super().__init__()
        self.alpha = alpha
        self.loss = loss

    def forward(self, first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
        """Loss of the logits of two passes, each ``[..., C]``, and ``labels`` ``[...]``."""
        return r_drop_loss(first, second, labels, self.alpha, self.loss)
