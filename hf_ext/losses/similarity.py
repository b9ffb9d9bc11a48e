"""Similarity of paraphrases: SimBERT and RoFormer-Sim (kexue.fm/archives/7427, 8454, 8541).

Shapes: N pairs, H hidden. Rows 2i and 2i+1 of a batch are paraphrases; cosines are computed in float32 or better.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hf_ext.losses.rows import check_some
from hf_ext.ops.precision import at_least_float32


def cosine_similarities(embeddings: Tensor) -> Tensor:
    """Cosines ``[B, B]`` of all pairs of ``embeddings`` ``[B, H]``, in float32 or better; 0 for a vector of zeros."""
    embeddings = at_least_float32(embeddings)
    # Bounding the square, not its root, bounds the gradient at zero as well.
    unit = embeddings * embeddings.square().sum(-1, keepdim=True).clamp_min(1e-12).rsqrt()
    return unit @ unit.mT


def paraphrase_similarity_loss(embeddings: Tensor, scale: float = 30.0, reduction: str = "mean") -> Tensor:
    """Softmax cross-entropy that finds each row's paraphrase among all other rows of the batch.

    Args:
        embeddings: ``[2N, H]``; rows 2i and 2i+1 are paraphrases, all others are taken for unrelated.
        scale: what cosines are multiplied by: 30 in SimBERT, 20 in RoFormer-Sim and SimCSE.
        reduction: "none" (``[2N]``), "sum" or "mean".

    Returns:
        The loss in float32 or better; 0 for a single pair, which has nothing to be told from.

    Raises:
        ValueError: if the number of rows is odd or zero.
    """
    _check_pairs(embeddings)
    cosines = cosine_similarities(embeddings)
    rows = torch.arange(len(cosines), device=cosines.device)
    itself = torch.eye(len(cosines), dtype=torch.bool, device=cosines.device)
    return F.cross_entropy((scale * cosines).masked_fill(itself, -torch.inf), rows ^ 1, reduction=reduction)


def similarity_distillation_loss(embeddings: Tensor, teacher: Tensor, weight: float = 100.0) -> Tensor:
    """Squared error of all cosines of a batch against a teacher's, by which RoFormer-Sim keeps what SimBERT knows.

    Args:
        embeddings: ``[B, H]``.
        teacher: the teacher's cosines ``[B, B]``.
        weight: factor of the mean.

    Returns:
        scalar, in float32 or better.

    Raises:
        ValueError: if there are no rows, or ``teacher`` does not have a cosine for each pair of them.
    """
    check_some(embeddings, "embeddings")
    cosines = cosine_similarities(embeddings)
    if teacher.shape != cosines.shape:
        raise ValueError(f"teacher must have shape {tuple(cosines.shape)}, got {tuple(teacher.shape)}")
    return weight * F.mse_loss(cosines, teacher.to(cosines.dtype))


def pair_features(embeddings: Tensor) -> Tensor:
    """``[a, b, |a - b|]`` of each pair, ``[N, 3H]`` of ``embeddings`` ``[2N, H]``, for a classifier of pairs.

    Raises:
        ValueError: if the number of rows is odd or zero.
    """
    _check_pairs(embeddings)
    first, second = embeddings[0::2], embeddings[1::2]
    return torch.cat((first, second, (first - second).abs()), dim=-1)


def grouped_classification_loss(logits: Tensor, labels: Tensor, groups: Sequence[int] = (2, 3)) -> Tensor:
    """Cross-entropy of several tasks that share one output layer; a label is told from the labels of its own task only.

    RoFormer-Sim is fine-tuned so on pairs: labels 0 and 1 are those of paraphrase data, 2 to 4 those of inference data.

    Args:
        logits: ``[N, C]``.
        labels: ``[N]`` class ids.
        groups: number of classes of each task, in order; C in all.

    Returns:
        mean over the rows, in float32 or better.

    Raises:
        ValueError: if there are no logits, or ``groups`` do not sum up to C.
    """
    check_some(logits, "logits")
    if sum(groups) != logits.shape[-1]:
        raise ValueError(f"groups must sum up to the {logits.shape[-1]} columns of logits, got {tuple(groups)}")
    sizes = torch.tensor(groups, device=logits.device)
    task = torch.arange(len(groups), device=logits.device).repeat_interleave(sizes, output_size=sum(groups))
    return F.cross_entropy(at_least_float32(logits).masked_fill(task != task[labels][:, None], -torch.inf), labels)


class ParaphraseSimilarityLoss(nn.Module):
    """`paraphrase_similarity_loss` as a module."""

    def __init__(self, scale: float = 30.0, reduction: str = "mean") -> None:
        super().__init__()
        self.scale = scale
        self.reduction = reduction

    def forward(self, embeddings: Tensor) -> Tensor:
        """Loss of ``embeddings`` ``[2N, H]``."""
        return paraphrase_similarity_loss(embeddings, self.scale, self.reduction)


def _check_pairs(embeddings: Tensor) -> None:
    if not len(embeddings) or len(embeddings) % 2:
        raise ValueError(f"embeddings must have two rows for each pair, got shape {tuple(embeddings.shape)}")
