"""Several problems of m classes each in one loss (kexue.fm/archives/9158)."""

import torch
from torch import Tensor, nn

from hf_ext.losses.rows import class_rows, reduced
from hf_ext.ops.logsumexp import log_one_plus_sum_exp


def joint_softmax_loss(logits: Tensor, labels: Tensor, reduction: str = "mean") -> Tensor:
    """One loss of several problems: ``log(1 + sum over problems i and classes j != t_i of e^(s_ij - s_i,t_i))``.

    With one problem it is cross-entropy. The least margins of the whole sample count, where a sum of cross-entropies
    counts each problem by itself: problems that are solved add nothing beside one that is not.

    Args:
        logits: ``[..., N, C]``, N problems; -inf is a class that a problem does not have.
        labels: ``[..., N]`` class ids, -100 to leave a problem out.
        reduction: "none" (``[...]``), "sum" or "mean" over the rows that have a label.

    Returns:
        The loss in float32 or better.

    Raises:
        ValueError: if an argument does not fit.
    """
    if logits.ndim < 2:
        raise ValueError(f"logits must be [..., problems, classes], got shape {tuple(logits.shape)}")
    logits, labels, counted = class_rows(logits, labels)
    index = labels.unsqueeze(-1)
    excess = (logits - logits.gather(-1, index)).scatter(-1, index, -torch.inf)
    excess = excess.masked_fill(~counted.unsqueeze(-1), -torch.inf)
    return reduced(log_one_plus_sum_exp(excess.flatten(-2)), counted.any(-1), reduction)


class JointSoftmaxLoss(nn.Module):
    """`joint_softmax_loss` as a module."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of ``logits`` ``[..., N, C]`` and ``labels`` ``[..., N]``."""
        return joint_softmax_loss(logits, labels, self.reduction)
