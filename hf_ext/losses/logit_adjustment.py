"""Logit adjustment: cross-entropy that learns mutual information, whatever the classes' frequencies
(kexue.fm/archives/7615; arXiv 2007.07314).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hf_ext.losses.cross_entropy import class_factors, cross_entropy_loss
from hf_ext.losses.rows import check_logits
from hf_ext.ops.precision import at_least_float32


def logit_adjusted_loss(
    logits: Tensor, labels: Tensor, prior: Tensor | Sequence[float], tau: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """Softmax cross-entropy of ``logits + tau log(prior)``.

    What is trained so is used without the prior: the largest logit is then the class with the highest mutual
    information (tau = 1), which favours no frequent class.

    Args:
        logits: ``[..., C]``; -inf is a class that is not there.
        labels: ``[...]`` class ids, -100 to leave a row out.
        prior: ``[C]`` probabilities of the classes, or counts; only their proportions matter.
        tau: 0 is cross-entropy.
        reduction: "none" (``[...]``), "sum" or "mean" over the rows that have a label.

    Raises:
        ValueError: if an argument does not fit; a prior of 0 is refused.
    """
    check_logits(logits)
    logits = at_least_float32(logits)
    log_prior = class_factors("prior", prior, logits, least=torch.finfo(logits.dtype).tiny).log()
    return cross_entropy_loss(logits + tau * (log_prior - log_prior.logsumexp(0)), labels, reduction=reduction)


class LogitAdjustedLoss(nn.Module):
    """`logit_adjusted_loss` as a module."""

    def __init__(self, prior: Tensor | Sequence[float], tau: float = 1.0, reduction: str = "mean") -> None:
        super().__init__()
        self.prior: Tensor
        self.register_buffer("prior", torch.as_tensor(prior, dtype=torch.float32))
        self.tau = tau
        self.reduction = reduction

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of ``logits`` ``[..., C]`` and ``labels`` ``[...]``."""
        return logit_adjusted_loss(logits, labels, self.prior, self.tau, self.reduction)
