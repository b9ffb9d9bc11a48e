"""The probability that normal numbers with equal correlations are all positive, by Genz' method (doi 10.2307/1390838).

The numbers are transformed one after another to the unit cube, where quasi-random points average the product of
conditional probabilities. For the covariance ``I + r 11^T`` the Cholesky factor has one number a column below its
diagonal, so a point costs O(K) and not O(K^2).
"""

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor


def orthant_probability(means: Tensor, shared: float = 1.0, points: int = 64) -> Tensor:
    """``P(d > 0)`` for ``d ~ N(means, I + shared 11^T)``.

    The gradient is not that of the average but the integral's own, computed in the same way: by each mean, the density
    of that number at 0 times the probability that the others are positive given this. It can be derived again.

    Args:
        means: ``[..., K]``, those likeliest to be negative first, which lowers the error. One of -inf makes the
            probability 0, one of +inf is not there.
        shared: variance r that all numbers have in common.
        points: quasi-random points, best a power of 2. One number, and the gradient of two, are exact.

    Returns:
        ``[...]`` in [0, 1].

    Raises:
        ValueError: if ``shared`` is negative or there is no point.
    """
    if shared < 0:
        raise ValueError(f"shared must be at least 0, got {shared}")
    if points < 1:
        raise ValueError(f"points must be at least 1, got {points}")
    # Beyond these bounds density and probability are 0 or 1 in float64, and differences of infinities would be NaN.
    return _OrthantProbability.apply(
        means.clamp(-60.0 * math.sqrt(1 + shared), 60.0 * math.sqrt(1 + shared)), shared, points
    )


class _OrthantProbability(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, means: Tensor, shared: float, points: int) -> Tensor:
        ctx.save_for_backward(means)
        ctx.shared, ctx.points = shared, points
        return _genz(means, shared, points)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (means,) = ctx.saved_tensors
        return gradient.unsqueeze(-1) * _slopes(means, ctx.shared, ctx.points), None, None


def _slopes(means: Tensor, shared: float, points: int) -> Tensor:
    """Gradient ``[..., K]`` of the probability."""
    variance = 1 + shared
    density = torch.exp(-means.square() / (2 * variance)) / math.sqrt(2 * math.pi * variance)
    size = means.shape[-1]
    if size < 2:
        return density
    # Row j holds the means of the others given that number j is 0.
    given = means.unsqueeze(-2) - shared / variance * means.unsqueeze(-1)
    others = ~torch.eye(size, dtype=torch.bool, device=means.device)
    given = given[..., others].unflatten(-1, (size, size - 1))
    return density * _OrthantProbability.apply(given, shared / variance, points)


def _genz(means: Tensor, shared: float, points: int) -> Tensor:
    size = means.shape[-1]
    if not size:
        return means.new_ones(means.shape[:-1])
    cube = _points(size - 1, points).to(means)
    tiny = torch.finfo(means.dtype).tiny
    product, carried = means.new_ones(1), means.new_zeros(1)
    for k, mean in enumerate(means.unsqueeze(-1).unbind(-2)):
        before = 1 + k * shared
        diagonal = math.sqrt((before + shared) / before)
        threshold = -(mean + carried) / diagonal
        chance = torch.special.ndtr(-threshold)
        product = product * chance
        if k < size - 1:
            # A normal number beyond the threshold; where its chance vanishes it is the threshold itself.
            drawn = -torch.special.ndtri((chance * cube[:, k]).clamp_min(tiny))
            carried = carried + shared / (before * diagonal) * torch.maximum(drawn, threshold)
    return product.expand(*means.shape[:-1], -1).mean(-1).clamp(0, 1)


@lru_cache(maxsize=64)
def _points(size: int, points: int) -> Tensor:
    """float64 ``[points, size]`` inside the unit cube, always the same."""
    if not size:
        return torch.empty(points, 0, dtype=torch.float64)
    drawn = torch.quasirandom.SobolEngine(size, scramble=True, seed=0).draw(points, dtype=torch.float64)
    return drawn.clamp(1e-6, 1 - 1e-6)
