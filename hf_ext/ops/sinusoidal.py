"""Sinusoidal positions: their table, and how alike two positions are by their distance (kexue.fm/archives/8231)."""

import math

import numpy as np
import torch
from torch import Tensor

from hf_ext.ops.rotary import rotary_frequencies

# Nodes of a panel of the quadrature, and how far the angle may turn within one: sixteen nodes give that to all digits.
_NODES = 16
_TURN = math.pi
# Cosines computed at once.
_BUDGET = 2**22


def sinusoidal_table(
    rows: int, dim: int, device: torch.device | None = None, dtype: torch.dtype | None = None
) -> Tensor:
    """Sinusoids of the row number: sines in even columns, cosines in odd ones, ``angle = row * 10000^(-2i/dim)``.

    Args:
        rows: number of rows.
        dim: number of columns, even.
        device: where the result lies.
        dtype: of the result; the angles are computed in float64 all the same.

    Returns:
        ``[rows, dim]``.
    """
    numbers = torch.arange(rows, device=device, dtype=torch.float64)[:, None]
    angles = numbers * 10000.0 ** -(torch.arange(0, dim, 2, device=device, dtype=torch.float64) / dim)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2).to(dtype)


def position_similarity(
    distance: Tensor, dim: int | None = None, base: float = 10000.0, frequencies: Tensor | None = None
) -> Tensor:
    """Inner product of two sinusoidal positions by their distance: the sum of ``cos(distance * theta_i)``.

    Args:
        distance: ``m - n`` of positions m and n, any shape.
        dim: size D of the positions, even; theta_i is then ``base^(-2i/D)``.
        base: of the frequencies that ``dim`` gives.
        frequencies: theta ``[D/2]``, in place of those.

    Returns:
        The inner products in the shape of ``distance``, in float64.

    Raises:
        ValueError: if not just one of ``dim`` and ``frequencies`` is given, or ``dim`` is odd.
    """
    if (dim is None) == (frequencies is None):
        raise ValueError(f"give either dim or frequencies, got {'neither' if dim is None else 'both'}")
    if frequencies is None:
        assert dim is not None
        frequencies = rotary_frequencies(dim, base, distance.device)
    return (distance.double()[..., None] * frequencies.double()).cos().sum(-1)


def similarity_integral(distance: Tensor, base: float | None = None, power: float | None = None) -> Tensor:
    """What `position_similarity` over D/2 tends to as D grows: the integral of ``cos(distance * theta(t))``, 0 < t < 1.

    ``theta(t)`` is ``base^-t``, as in every model, or ``t^power``. All are near 1 close by and fall with the distance,
    although each term is periodic; ``power=1`` gives ``sin(x) / x``.

    Args:
        distance: ``m - n`` of positions m and n, any shape.
        base: of an exponential theta, more than 1.
        power: of theta as a power of t, more than 0.

    Returns:
        The integrals in the shape of ``distance``, in float64, right to about twelve digits.

    Raises:
        ValueError: if not just one of ``base`` and ``power`` is given, or it is out of range.
    """
    if (base is None) == (power is None):
        raise ValueError(f"give either base or power, got {'neither' if base is None else 'both'}")
    if base is not None and base <= 1:
        raise ValueError(f"base must be more than 1, got {base}")
    if power is not None and power <= 0:
        raise ValueError(f"power must be more than 0, got {power}")
    # Of a small power theta is steep at 0, where t = u^stretch is flat; the area of a step is then that of t.
    stretch = 1.0 if power is None else max(1.0, 8 / power)
    steepest = math.log(base) if base is not None else max(8.0, power or 0.0)
    flat = distance.detach().double().flatten()
    furthest = float(flat.abs().max()) if flat.numel() else 0.0
    panels = math.ceil(furthest * steepest / _TURN) + 8
    u, weight = _gauss_legendre(panels, flat.device)
    t, weight = u**stretch, weight * stretch * u ** (stretch - 1)
    theta = t**power if power is not None else (-math.log(base or 1.0) * t).exp()
    several = max(1, _BUDGET // len(u))
    parts = [(part[:, None] * theta).cos() @ weight for part in flat.split(several)]
    return torch.cat(parts).view(distance.shape) if parts else flat.view(distance.shape)


def _gauss_legendre(panels: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Nodes and weights ``[panels * 16]`` of a quadrature over (0, 1) in equal panels."""
    nodes, weights = (torch.from_numpy(x).to(device) for x in np.polynomial.legendre.leggauss(_NODES))
    starts = torch.arange(panels, device=device, dtype=torch.float64)[:, None]
    return ((starts + (nodes + 1) / 2) / panels).flatten(), (weights / 2 / panels).repeat(panels)
