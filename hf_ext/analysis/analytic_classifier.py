"""A classifier in closed form: Gaussian classes with one covariance (kexue.fm/archives/8578)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hf_ext.ops.precision import at_least_float32

SHRINK_BY_SIZE = "oas"


@dataclass(frozen=True)
class ClassSums:
    """What a closed form needs of labelled vectors, of which parts can be added up in any order.

    Attributes:
        counts: float64 ``[C]``, vectors of each class.
        means: float64 ``[C, H]``, their means; 0 without any.
        scatter: float64 ``[H, H]``, the sum of the outer products of all vectors less the mean of their class.
    """

    counts: Tensor
    means: Tensor
    scatter: Tensor

    @classmethod
    def of(cls, vectors: Any, labels: Any, num_labels: int) -> "ClassSums":
        """Those of one part.

        Args:
            vectors: ``[n, H]``, an array or a tensor.
            labels: class ids ``[n]``; vectors of -100 are left out.
            num_labels: number C of classes.

        Raises:
            ValueError: if shapes do not fit, a label is no class, or a number is not finite.
        """
        rows, ids = torch.as_tensor(vectors).detach(), torch.as_tensor(labels).detach()
        if rows.ndim != 2 or ids.shape != rows.shape[:1]:
            raise ValueError(f"vectors and labels must be [n, H] and [n], got {list(rows.shape)} and {list(ids.shape)}")
        kept = ids != -100
        rows, ids = rows[kept].double(), ids[kept].long().to(rows.device)
        if not rows.isfinite().all():
            raise ValueError("vectors must be finite numbers, got nan or inf")
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < num_labels:
            seen = sorted(set(ids.tolist()) - set(range(num_labels)))
            raise ValueError(f"labels must be in [0, {num_labels}) or -100, got {seen[0]}")
        counts = torch.bincount(ids, minlength=num_labels).double()
        means = rows.new_zeros(num_labels, rows.shape[1]).index_add_(0, ids, rows) / counts.clamp(min=1)[:, None]
        rest = rows - means[ids]
        return cls(counts, means, rest.mT @ rest)

    def __add__(self, other: "ClassSums") -> "ClassSums":
        """Those of both parts together."""
        if self.means.shape != other.means.shape:
            raise ValueError(f"sums must have shape {list(self.means.shape)}, got {list(other.means.shape)}")
        counts = self.counts + other.counts
        share = other.counts / counts.clamp(min=1)
        apart = other.means - self.means
        between = apart * (self.counts * share).sqrt()[:, None]
        means = self.means + share[:, None] * apart
        return ClassSums(counts, means, self.scatter + other.scatter + between.mT @ between)


class AnalyticClassifier(nn.Module):
    """Linear discriminant analysis: ``w_c = S^-1 m_c`` and ``b_c = ln p_c - m_c S^-1 m_c / 2`` from the mean of all.

    S is the covariance within the classes, m_c the mean of a class and p_c its share. No step is trained, so that this
    is the thing to compare a trained head with, or to begin it from.

    Args:
        weight: ``[C, H]``.
        bias: ``[C]``.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        if weight.ndim != 2 or bias.shape != weight.shape[:1]:
            shapes = f"{list(weight.shape)} and {list(bias.shape)}"
            raise ValueError(f"weight and bias must have shapes [C, H] and [C], got {shapes}")
        self.weight: Tensor
        self.bias: Tensor
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    @classmethod
    def fit(cls, parts: Iterable[tuple[Any, Any]], num_labels: int, **options: Any) -> "AnalyticClassifier":
        """Fit to vectors and labels that come in parts, of which sums alone are kept.

        Args:
            parts: pairs of vectors ``[n, H]`` and class ids ``[n]``; those of -100 are left out.
            num_labels: number C of classes.
            **options: of :meth:`from_sums`.

        Raises:
            ValueError: if there are no vectors, or as in `ClassSums.of` and :meth:`from_sums`.
        """
        sums = None
        for vectors, labels in parts:
            part = ClassSums.of(vectors, labels, num_labels)
            sums = part if sums is None else sums + part
        if sums is None:
            raise ValueError("parts must be at least one pair of vectors and labels, got none")
        return cls.from_sums(sums, **options)

    @classmethod
    def from_sums(
        cls,
        sums: ClassSums,
        ddof: int = 0,
        shrinkage: float | str = 0.0,
        pseudo_inverse: bool = False,
        empty_score: float = -1e4,
    ) -> "AnalyticClassifier":
        """Fit to sums, those of several processes added up.

        Args:
            sums: of the labelled vectors.
            ddof: 0: covariances are divided by the number n of vectors; 1: the covariance of all vectors is divided by
                n - 1, as in the scripts of the article, which leaves ``1 / n`` of it as a ridge in that within classes.
            shrinkage: part of the covariance within classes that is replaced by its mean variance in each direction,
                or ``"oas"``, as much as so many Gaussian vectors need (arXiv 0907.4698).
            pseudo_inverse: leave directions out in which the vectors do not vary within classes; else they are refused.
            empty_score: score of a class without vectors, whose weights are 0: finite, and by default one that wins
                nowhere.

        Returns:
            A module with float64 buffers.

        Raises:
            ValueError: if an option is out of its range, there are fewer vectors than two or than ``ddof`` leaves, or
                the vectors do not vary within classes in all directions.
        """
        count, hidden = float(sums.counts.sum()), sums.means.shape[1]
        if ddof not in (0, 1):
            raise ValueError(f"ddof must be 0 or 1, got {ddof}")
        if count < 2:
            raise ValueError(f"sums must be of at least two vectors, got {count:.0f}")
        if shrinkage != SHRINK_BY_SIZE and not (isinstance(shrinkage, float | int) and 0 <= shrinkage <= 1):
            raise ValueError(f"shrinkage must be in [0, 1] or {SHRINK_BY_SIZE!r}, got {shrinkage!r}")
        shares = sums.counts / count
        mean = shares @ sums.means
        centred = (sums.means - mean) * (shares > 0)[:, None]
        between = centred.mT @ (shares[:, None] * centred)
        # The covariance of all less that of the means.
        within = (sums.scatter + ddof * between) / (count - ddof)
        if isinstance(shrinkage, str):
            shrinkage = _oas(within, count)
        level = within.diagonal().mean()
        within = (1 - shrinkage) * within
        within.diagonal().add_(shrinkage * level)
        # In units in which each number varies by 1, so that none is lost beside others.
        scale = within.diagonal().clamp(min=0).sqrt()
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        variances, axes = torch.linalg.eigh(within / scale / scale[:, None])
        noise = hidden * torch.finfo(torch.float64).eps * variances[-1].clamp(min=torch.finfo(torch.float64).tiny)
        varies = variances > noise
        if not varies.all() and not pseudo_inverse:
            raise ValueError(
                f"vectors must vary within classes in all {hidden} directions, got {int(varies.sum())} of {count:.0f} "
                "vectors: give more of them, shrinkage, or pseudo_inverse=True"
            )
        inverse = torch.where(varies, 1 / torch.where(varies, variances, 1), 0)
        weight = (((centred / scale) @ axes * inverse) @ axes.mT) / scale
        bias = shares.clamp(min=torch.finfo(torch.float64).tiny).log() - (weight * (centred / 2 + mean)).sum(-1)
        bias = torch.where(shares > 0, bias, torch.full_like(bias, empty_score))
        return cls(weight, bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """Scores ``[..., C]`` of vectors ``[..., H]``: logarithms of probabilities up to a constant for each vector."""
        exact = at_least_float32(vectors)
        return exact @ self.weight.to(exact.dtype).mT + self.bias.to(exact.dtype)

    def as_linear(self) -> nn.Linear:
        """The same as a layer with weight ``[C, H]`` and bias ``[C]``, to train on from."""
        return _linear(self.weight, self.bias)

    def as_difference(self) -> nn.Linear:
        """Of two classes a layer with one output, how much more the second is likely: the logit of a sigmoid.

        Raises:
            ValueError: if there are not two classes.
        """
        if len(self.weight) != 2:
            raise ValueError(f"weight must be of two classes, got {len(self.weight)}")
        return _linear(self.weight.diff(dim=0), self.bias.diff(dim=0))


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], len(weight), device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


def _oas(covariance: Tensor, count: float) -> float:
    """The shrinkage of Chen, Wiesel, Eldar and Hero for Gaussian vectors, as in sklearn.covariance.oas."""
    size = len(covariance)
    power, level = float(covariance.square().mean()), float(covariance.diagonal().mean()) ** 2
    apart = (count + 1) * (power - level / size)
    return 1.0 if apart <= 0 else min(1.0, (power + level) / apart)
