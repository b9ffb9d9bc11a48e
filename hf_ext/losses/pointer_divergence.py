"""A divergence of two GlobalPointers, for R-Drop and virtual adversarial training (kexue.fm/archives/9039)."""

import torch
from torch import Tensor, nn

from hf_ext.losses.rows import check_logits, reduced
from hf_ext.ops.precision import at_least_float32


def pointer_divergence(scores: Tensor, other: Tensor, reduction: str = "mean") -> Tensor:
    """``sum over spans of (s - s') (sigmoid(s) - sigmoid(s'))``, symmetric and 0 only where the scores agree.

    Multi-label softmax gives no distribution whose Kullback-Leibler divergence could be taken; this is the symmetric
    one of a sigmoid for each span.

    Args:
        scores: ``[B, C, L, L]``, or any ``[..., L, L]``; -inf where no span may stand.
        other: the same spans' scores by another pass.
        reduction: "none" (``[B, C]``), "sum" or "mean" over rows and types.

    Returns:
        The divergence in float32 or better; +inf where only one side has -inf.

    Raises:
        ValueError: if shapes do not fit, or, on the CPU, a score is NaN or +inf.
    """
    check_logits(scores, "scores")
    check_logits(other, "other")
    if scores.ndim < 2 or scores.shape != other.shape:
        raise ValueError(
            f"other must have the shape [..., L, L] of scores, {tuple(scores.shape)}, got {tuple(other.shape)}"
        )
    scores, other = at_least_float32(scores), at_least_float32(other)
    neither = (scores == -torch.inf) & (other == -torch.inf)
    scores, other = scores.masked_fill(neither, 0), other.masked_fill(neither, 0)
    values = (scores - other) * (torch.sigmoid(scores) - torch.sigmoid(other))
    return reduced(values.flatten(-2).sum(-1), None, reduction)


class PointerDivergence(nn.Module):
    """`pointer_divergence` as a module."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, scores: Tensor, other: Tensor) -> Tensor:
        """Divergence of ``scores`` and ``other``, each ``[..., L, L]``."""
        return pointer_divergence(scores, other, self.reduction)
