"""The probability that one of several numbers is the largest once noise is added to each (kexue.fm/archives/9085).

With i.i.d. noise of density f and distribution function F it is the integral of ``f(e) prod_j F(e + d_j)``, where the
margins d_j are how far the number is above each of the others. One dimension, however many others there are.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hf_ext.ops.logsumexp import log_one_plus_sum_exp

# A normal number is never so far out that it shows in float64.
_FAR = 40.0
# From the start below, Newton's steps on a convex decreasing function only come nearer.
_NEWTON_STEPS = 12


def log_probability_of_largest(margins: Tensor, noise: str = "gaussian", nodes: int = 32) -> Tensor:
    """Logarithm of the probability that ``e > e_j - d_j`` for all j.

    Args:
        margins: ``[..., K]`` floats; +inf for one that is not there. K may be 0.
        noise: "gumbel" (the softmax), "gaussian" (variance 1), "uniform" (on an interval of length 1) or "exponential"
            (rate 1).
        nodes: points of the quadrature, Gauss-Hermite about the peak of the integrand for Gaussian noise,
            Gauss-Legendre for the last two. Exponential noise is exact from K / 2 + 1 nodes on; uniform noise, whose
            integrand has corners, is good to about ``1 / nodes^2``.

    Returns:
        ``[...]``, at most 0; finite, but -inf for uniform noise where some margin is -1 or less.

    Raises:
        ValueError: if the noise is unknown or there is no node.
    """
    if noise not in NOISES:
        raise ValueError(f"noise must be one of {', '.join(NOISES)}, got {noise!r}")
    if nodes < 1:
        raise ValueError(f"nodes must be at least 1, got {nodes}")
    if noise == "gumbel" or not margins.shape[-1]:
        return -log_one_plus_sum_exp(-margins)
    integrate = {"gaussian": _gaussian, "uniform": _uniform, "exponential": _exponential}[noise]
    return integrate(margins, nodes).clamp_max(0)


NOISES = ("gumbel", "gaussian", "uniform", "exponential")


def _gaussian(margins: Tensor, nodes: int) -> Tensor:
    margins = margins.clamp_max(_FAR)
    with torch.no_grad():
        peak = margins.new_zeros(margins.shape[:-1])
        for _ in range(_NEWTON_STEPS):
            slope, curvature = _slope_and_curvature(peak, margins)
            peak = peak - slope / curvature
        width = (-2 / _slope_and_curvature(peak, margins)[1]).sqrt().unsqueeze(-1)
    x, log_weights = _rule("hermite", nodes, margins)
    at = peak.unsqueeze(-1) + width * x
    # log_weights hold e^(x^2), as the rule is for integrands that are already divided by it.
    terms = _LogNormalCDF.apply(at.unsqueeze(-1) + margins.unsqueeze(-2)).sum(-1)
    density = -at.square() / 2 + (log_weights + x.square() + (width / math.sqrt(2 * math.pi)).log())
    terms = terms + density
    # Relative to the largest, weights of the gradient sum up to 1 even where the sum is a huge number that is rounded.
    largest = terms.detach().amax(-1, keepdim=True)
    return ((terms - largest).exp().sum(-1, keepdim=True).log() + largest).squeeze(-1)


class _LogNormalCDF(torch.autograd.Function):
    """``log Phi(x)``. PyTorch's own has a gradient that far out is the exponential of a rounding error."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.special.log_ndtr(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * _mills(ctx.saved_tensors[0])


def _mills(x: Tensor) -> Tensor:
    """Density over distribution function of a normal number, the derivative of ``log Phi``."""
    return math.sqrt(2 / math.pi) / torch.special.erfcx(-x / math.sqrt(2))


def _slope_and_curvature(at: Tensor, margins: Tensor) -> tuple[Tensor, Tensor]:
    """Of ``-e^2 / 2 + sum_j log Phi(e + d_j)``, ``[...]`` each."""
    x = at.unsqueeze(-1) + margins
    ratio = _mills(x)
    # Far out the product is the difference of large numbers.
    bend = torch.where(x < -20, 1 - 1 / x.square().clamp_min(1), ratio * (ratio + x))
    return ratio.sum(-1) - at, -1 - bend.sum(-1)


def _exponential(margins: Tensor, nodes: int) -> Tensor:
    # Up to the largest of -d the product is 0; beyond, u = e^-(e - least) makes it a polynomial on [0, 1].
    least = (-margins.amin(-1)).clamp_min(0)
    u, log_weights = _rule("legendre", nodes, margins)
    tails = torch.exp(-(margins + least.unsqueeze(-1)))
    terms = torch.log1p(-u.unsqueeze(-1) * tails.unsqueeze(-2)).sum(-1)
    return (terms + log_weights).logsumexp(-1) - least


def _uniform(margins: Tensor, nodes: int) -> Tensor:
    least = (-margins.amin(-1)).clamp_min(0)
    possible = least < 1
    length = torch.where(possible, 1 - least, 1)
    u, log_weights = _rule("legendre", nodes, margins)
    at = least.unsqueeze(-1) + length.unsqueeze(-1) * u
    # Where it is possible at all, at + d is above 0; elsewhere a number keeps the unused logarithm finite.
    chances = (at.unsqueeze(-1) + margins.unsqueeze(-2)).clamp(torch.finfo(margins.dtype).tiny, 1)
    value = (chances.log().sum(-1) + log_weights).logsumexp(-1) + length.log()
    return torch.where(possible, value, -torch.inf)


def _rule(kind: str, nodes: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Points and logarithms of weights, ``[nodes]``: Gauss-Hermite on the line or Gauss-Legendre on [0, 1]."""
    x, log_weights = _float64_rule(kind, nodes)
    return x.to(like), log_weights.to(like)


@lru_cache(maxsize=16)
def _float64_rule(kind: str, nodes: int) -> tuple[Tensor, Tensor]:
    if kind == "hermite":
        x, weights = np.polynomial.hermite.hermgauss(nodes)
    else:
        x, weights = np.polynomial.legendre.leggauss(nodes)
        x, weights = (x + 1) / 2, weights / 2
    return torch.from_numpy(x), torch.from_numpy(weights).log()
