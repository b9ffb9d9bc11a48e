"""The von Mises-Fisher distribution on the unit sphere (kexue.fm/archives/8404; arXiv 1804.00891).

Its density at z is proportional to ``exp(kappa <mean, z>)``. Shapes: Z size of the vectors.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from hf_ext.ops.precision import at_least_float32

# Places at which the cumulative function of the cosine is known; between them it is taken for a straight line.
_GRID = 16385
# What has a density below exp(-50) of the greatest is left out: 1e-21 of the mass.
_DEPTH = 50.0


def check_von_mises_fisher(size: float, kappa: float) -> None:
    """Refuse what the density of the cosine is not made for.

    Raises:
        ValueError: if ``size`` is below 3, where the density has poles at both ends, or ``kappa`` not positive.
    """
    if size < 3:
        raise ValueError(
            f"latent_size must be at least 3 on a sphere, where the density of the cosine ends, got {size}"
        )
    if not 0 < kappa < math.inf:
        raise ValueError(f"kappa must be positive, got {kappa}")


def cosine_quantile(u: Tensor, size: int, kappa: float) -> Tensor:
    """The cosine between a sample and the mean under which a part ``u`` of all samples lies.

    Its density on [-1, 1] is proportional to ``exp(kappa w) (1 - w^2)^((Z - 3) / 2)``, whose integral is inverted on a
    grid over the part that has any mass.

    Args:
        u: ``[...]`` numbers in [0, 1].
        size: Z.
        kappa: concentration.

    Returns:
        ``[...]`` cosines in the type of ``u``, float32 or better; right to about 1e-7.

    Raises:
        ValueError: if ``size`` or ``kappa`` does not fit.
    """
    check_von_mises_fisher(size, kappa)
    cosines, cumulative = _table(size, kappa, u.device)
    exact = at_least_float32(u)
    wanted = exact.to(cumulative.dtype).clamp(0, 1)
    above = torch.searchsorted(cumulative, wanted.contiguous()).clamp(1, len(cumulative) - 1)
    low, high = cumulative[above - 1], cumulative[above]
    part = ((wanted - low) / (high - low).clamp(min=1e-300)).clamp(0, 1)
    return torch.lerp(cosines[above - 1], cosines[above], part).to(exact.dtype)


def draw_von_mises_fisher(
    mean: Tensor,
    kappa: float,
    noise: tuple[Tensor, Tensor] | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """A sample around each mean: ``w mean + sqrt(1 - w^2) v``, with v drawn among the unit vectors across it.

    The gradient flows through the mean alone.

    Args:
        mean: ``[..., Z]`` unit vectors.
        kappa: concentration; a constant.
        noise: the cosines ``[...]`` and normal numbers ``[..., Z]`` to use; None: drawn, cosines for each mean.
        generator: to draw with, on the device of ``mean``.

    Returns:
        ``[..., Z]`` unit vectors in the type of ``mean``.

    Raises:
        ValueError: if Z or ``kappa`` does not fit.
    """
    if noise is None:
        exact = at_least_float32(mean)
        u = torch.rand(exact.shape[:-1], generator=generator, device=exact.device, dtype=exact.dtype)
        normal = torch.randn(exact.shape, generator=generator, device=exact.device, dtype=exact.dtype)
        noise = cosine_quantile(u, mean.shape[-1], kappa), normal
    cosine, normal = noise[0].to(mean.dtype).unsqueeze(-1), noise[1].to(mean.dtype)
    across = F.normalize(normal - (normal * mean).sum(-1, keepdim=True) * mean, dim=-1)
    return F.normalize(cosine * mean + (1 - cosine.square()).clamp(min=0).sqrt() * across, dim=-1)


def mean_cosine(size: float, kappa: float) -> float:
    """The mean cosine between a sample and the mean, ``I_{Z/2}(kappa) / I_{Z/2-1}(kappa)``.

    Raises:
        ValueError: if ``size`` or ``kappa`` does not fit.
    """
    return _moments(size, kappa)[1]


def kl_to_uniform(size: float, kappa: float) -> float:
    """The Kullback-Leibler divergence to the uniform distribution on the sphere, in nats; the same for any mean.

    Raises:
        ValueError: if ``size`` or ``kappa`` does not fit.
    """
    log_of_partition, cosine = _moments(size, kappa)
    return kappa * cosine - log_of_partition


def log_partition(size: float, kappa: float) -> float:
    """The logarithm of the mean value of ``exp(kappa <mean, z>)`` over the sphere.

    The density with respect to the uniform distribution is ``exp(kappa <mean, z> - log_partition)``.

    Raises:
        ValueError: if ``size`` or ``kappa`` does not fit.
    """
    return _moments(size, kappa)[0]


@torch.compiler.assume_constant_result
def _moments(size: float, kappa: float) -> tuple[float, float]:
    """What `_series` gives; in a graph a constant, as a cache has no place there."""
    return _series(size, kappa)


@torch.compiler.assume_constant_result
def _table(size: int, kappa: float, device: torch.device) -> Tensor:
    """What `_cumulative` gives, as a tensor; in a graph a constant."""
    return torch.as_tensor(_cumulative(size, kappa), device=device)


@lru_cache(maxsize=256)
def _series(size: float, kappa: float) -> tuple[float, float]:
    """`log_partition`, and its derivative by ``kappa``, which is the mean cosine.

    The partition is ``sum_m Gamma(Z/2) (kappa/2)^(2m) / (m! Gamma(m + Z/2))``, Bessel's series without its factor: all
    terms are positive, and beyond ``m = kappa`` each is less than a quarter of the one before.
    """
    check_von_mises_fisher(size, kappa)
    half = math.log(kappa / 2)
    logs = [2 * m * half - math.lgamma(m + 1) - math.lgamma(m + size / 2) for m in range(math.ceil(kappa) + 64)]
    greatest = max(logs)
    terms = [math.exp(each - greatest) for each in logs]
    total = math.fsum(terms)
    mean = 2 / kappa * math.fsum(m * term for m, term in enumerate(terms)) / total
    return greatest + math.log(total) + math.lgamma(size / 2), mean


@lru_cache(maxsize=64)
def _cumulative(size: int, kappa: float) -> NDArray[Any]:
    """Cosines in order, and the part of all samples below each, float64 ``[2, _GRID]``.

    An array: a tensor that is kept would be one of the mode or the device under which it was first asked for.
    """
    power = (size - 3) / 2

    def log_density(w: float) -> float:
        inside = 1 - w * w
        if inside <= 0:
            return kappa * w if power == 0 else -math.inf
        return kappa * w + power * math.log(inside)

    # The logarithm of the density is concave: it has one top, and is above any depth in one interval.
    top = 1.0 if power == 0 else kappa / (power + math.hypot(power, kappa))
    least = log_density(top) - _DEPTH

    def border(end: float) -> float:
        if log_density(end) >= least:
            return end
        inside, outside = top, end
        for _ in range(60):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if log_density(middle) >= least else (inside, middle)
        return inside

    low, high = border(-1.0), border(1.0)
    w = np.linspace(low, high, _GRID)
    logs = kappa * (w - top)
    if power:
        logs += power * np.log(np.maximum(1 - w * w, 1e-300) / (1 - top * top))
    density = np.exp(logs)
    cumulative = np.concatenate(([0.0], np.cumsum(density[1:] + density[:-1])))
    return np.stack((w, cumulative / cumulative[-1]))
