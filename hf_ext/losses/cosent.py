"""CoSENT: cosines in the order of their labels (kexue.fm/archives/8847), in O(P log P) for P pairs."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hf_ext.losses.rows import can_look, check_logits, check_positive
from hf_ext.ops.logsumexp import log_one_plus_sum_exp
from hf_ext.ops.precision import at_least_float32


def cosent_loss(scores: Tensor, labels: Tensor, scale: float = 20.0) -> Tensor:
    """CoSENT: ``log(1 + sum over i, j with y_i > y_j of e^(scale (c_j - c_i)))``.

    The pairs are sorted by label. What i is compared with is then a prefix, whose sum of exponentials is a running one:
    no P x P matrix is made.

    Args:
        scores: ``[P]`` or ``[P, 1]``, cosines, or any score of each pair (scale 1).
        labels: as many numbers, higher for more alike; only their order matters.
        scale: what scores are multiplied by.

    Returns:
        scalar in float32 or better; 0 where all labels are the same.

    Raises:
        ValueError: if shapes do not fit, there are no pairs, or, on the CPU, a label is NaN or a score not finite.
    """
    check_positive("scale", scale)
    check_logits(scores, "scores")
    if can_look(scores) and bool((scores == -torch.inf).any()):
        raise ValueError("scores must be finite, got -inf")
    scores = scores.squeeze(-1) if scores.ndim == 2 and scores.shape[1] == 1 else scores
    if scores.ndim != 1:
        raise ValueError(f"scores must be [pairs] or [pairs, 1], got shape {tuple(scores.shape)}")
    labels = labels.squeeze(-1) if labels.shape == (*scores.shape, 1) else labels
    if labels.shape != scores.shape:
        raise ValueError(f"labels must have shape {tuple(scores.shape)}, got {tuple(labels.shape)}")
    if can_look(labels) and labels.isnan().any():
        raise ValueError("labels must be numbers, got nan")
    labels, order = labels.sort()
    exponents = scale * at_least_float32(scores)[order]
    # The least a label may compare with begins before all labels equal to it.
    lower = torch.searchsorted(labels.contiguous(), labels.contiguous())
    running = F.pad(exponents.logcumsumexp(0), (1, 0), value=-torch.inf)
    return log_one_plus_sum_exp(running[lower] - exponents)


def cosent_pair_loss(embeddings: Tensor, labels: Tensor, scale: float = 20.0) -> Tensor:
    """`cosent_loss` of the cosines of pairs of rows.

    Args:
        embeddings: ``[2P, H]``; rows 2i and 2i+1 are a pair.
        labels: ``[P]``, or ``[P, 1]``, a number for each pair.
        scale: what cosines are multiplied by.

    Returns:
        scalar in float32 or better.

    Raises:
        ValueError: if an argument does not fit.
    """
    if embeddings.ndim != 2 or not len(embeddings) or len(embeddings) % 2:
        raise ValueError(f"embeddings must be [2 * pairs, hidden], got shape {tuple(embeddings.shape)}")
    embeddings = at_least_float32(embeddings)
    unit = embeddings * embeddings.square().sum(-1, keepdim=True).clamp_min(1e-12).rsqrt()
    return cosent_loss((unit[0::2] * unit[1::2]).sum(-1), labels, scale)


class CoSENTLoss(nn.Module):
    """`cosent_loss` as a module."""

    def __init__(self, scale: float = 20.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Loss of ``scores`` and ``labels``, each ``[P]``."""
        return cosent_loss(scores, labels, self.scale)


class CoSENTPairLoss(nn.Module):
    """`cosent_pair_loss` as a module."""

    def __init__(self, scale: float = 20.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss of ``embeddings`` ``[2P, H]`` and ``labels`` ``[P]``."""
        return cosent_pair_loss(embeddings, labels, self.scale)
