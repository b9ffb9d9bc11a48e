"""Distributions that a noise defines: the probability that a logit is the largest once noise is added to each
(kexue.fm/archives/9085). Gumbel noise gives the softmax.
"""

import torch
from torch import Tensor, nn

from hf_ext.losses.rows import check_logits, check_positive, class_rows, reduced
from hf_ext.ops.largest_of_noisy import log_probability_of_largest
from hf_ext.ops.precision import at_least_float32


def noise_cross_entropy_loss(
    logits: Tensor,
    labels: Tensor,
    noise: str = "gaussian",
    scale: float = 1.0,
    nodes: int = 32,
    reduction: str = "mean",
) -> Tensor:
    """``-log P(s_y + e_y is the largest)`` for independent noise e of each class.

    Args:
        logits: ``[..., C]``; -inf is a class that is not there.
        labels: ``[...]`` class ids, -100 to leave a row out.
        noise: "gumbel" (cross-entropy), "gaussian", "uniform" or "exponential".
        scale: of the noise: its standard deviation (Gaussian), length (uniform) or mean (exponential).
        nodes: points of the quadrature, as in :func:`hf_ext.ops.largest_of_noisy.log_probability_of_largest`.
        reduction: "none" (``[...]``), "sum" or "mean" over the rows that have a label.

    Returns:
        The loss in float32 or better. Uniform noise gives +inf, and no gradient, to rows whose class it cannot lift to
        the top: bound the logits with it.

    Raises:
        ValueError: if an argument does not fit.
    """
    check_positive("scale", scale)
    logits, labels, counted = class_rows(logits, labels)
    index = labels.unsqueeze(-1)
    margins = ((logits.gather(-1, index) - logits) / scale).scatter(-1, index, torch.inf)
    return reduced(-log_probability_of_largest(margins, noise, nodes), counted, reduction)


def noise_probabilities(logits: Tensor, noise: str = "gaussian", scale: float = 1.0, nodes: int = 32) -> Tensor:
    """Probabilities of all classes, in memory ``[..., C, nodes, C]``.

    Args:
        logits: ``[..., C]``; -inf is a class that is not there.
        noise: as in `noise_cross_entropy_loss`.
        scale: of the noise.
        nodes: points of the quadrature.

    Returns:
        ``[..., C]`` in float32 or better; the sum is 1 up to the quadrature's error.

    Raises:
        ValueError: if an argument does not fit.
    """
    check_positive("scale", scale)
    check_logits(logits)
    logits = at_least_float32(logits)
    absent = logits == -torch.inf
    logits = logits.masked_fill(absent, 0)
    itself = torch.eye(logits.shape[-1], dtype=torch.bool, device=logits.device)
    margins = (logits.unsqueeze(-1) - logits.unsqueeze(-2)) / scale
    margins = margins.masked_fill(itself | absent.unsqueeze(-2), torch.inf)
    return log_probability_of_largest(margins, noise, nodes).exp().masked_fill(absent, 0)


class NoiseCrossEntropyLoss(nn.Module):
    """`noise_cross_entropy_loss` as a module."""

    def __init__(self, noise: str = "gaussian", scale: float = 1.0, nodes: int = 32, reduction: str = "mean") -> None:
        super().__init__()
        self.noise = noise
        self.scale = scale
        self.nodes = nodes
        self.reduction = reduction

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of ``logits`` ``[..., C]`` and ``labels`` ``[...]``."""
        return noise_cross_entropy_loss(logits, labels, self.noise, self.scale, self.nodes, self.reduction)
