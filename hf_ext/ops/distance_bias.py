"""What scores are changed by for the distance of query and key, in place of a rotation or beside it.

All of these are for causal models: a bias that is the same on both sides cannot tell left from right, and a decay grows
on one of them (kexue.fm/archives/9431). Shapes: N heads; distances are the query's place less the key's.
"""

import math

import torch
from torch import Tensor

from hf_ext.ops.rotary import rotary_frequencies


def alibi_slopes(heads: int) -> list[float]:
    """Slopes of ALiBi (arXiv 2108.12409): ``2^(-8h/N)``, h from 1.

    Where N is no power of two, those of the power below, and then every other one of the next power.

    Args:
        heads: number of heads N, at least 1.
    """
    power = 2 ** int(math.log2(heads))
    slopes = [2 ** (-8 * h / power) for h in range(1, power + 1)]
    between = [2 ** (-8 * h / (2 * power)) for h in range(1, 2 * power + 1, 2)]
    return slopes + between[: heads - power]


def alibi_bias(distance: Tensor, slopes: Tensor) -> Tensor:
    """``-slope |distance|``.

    Args:
        distance: ``[..., Q, S]``.
        slopes: ``[N]``.

    Returns:
        ``[..., N, Q, S]`` in the type of the slopes.
    """
    return _by_head(-slopes) * _spread(distance, slopes)


def kerple_bias(distance: Tensor, scale: Tensor, rate: Tensor, kind: str) -> Tensor:
    """KERPLE (arXiv 2205.09921): ``-scale |distance|^rate`` (power) or ``-scale ln(1 + rate |distance|)`` (log).

    Args:
        distance: ``[..., Q, S]``.
        scale: ``[N]``, positive.
        rate: ``[N]``, positive, for the power at most 2.
        kind: ``"power"`` or ``"log"``.

    Returns:
        ``[..., N, Q, S]`` in the type of ``scale``.

    Raises:
        ValueError: for an unknown kind.
    """
    if kind not in ("power", "log"):
        raise ValueError(f'kind must be "power" or "log", got {kind!r}')
    distance = _spread(distance, scale)
    scale, rate = _by_head(scale), _by_head(rate)
    if kind == "log":
        return -scale * (rate * distance).log1p()
    # The derivative by the rate has the logarithm of the distance, which at 0 is none.
    return -scale * torch.where(distance == 0, 0.0, distance.clamp(min=torch.finfo(distance.dtype).tiny) ** rate)


def sandwich_bias(distance: Tensor, scale: Tensor, dim: int, theta: float = 10000.0) -> Tensor:
    """Sandwich (arXiv 2212.10356): ``scale`` times the inner product of the sinusoidal vectors of both places.

    Args:
        distance: ``[..., Q, S]``.
        scale: ``[N]``.
        dim: size of the sinusoidal vectors, even.
        theta: base of their frequencies.

    Returns:
        ``[..., N, Q, S]`` in the type of ``scale``.
    """
    frequencies = rotary_frequencies(dim, theta, distance.device)
    product = torch.zeros(distance.shape, dtype=frequencies.dtype, device=distance.device)
    # One pair after the other, as together they take D/2 times the memory.
    for frequency in frequencies:
        product += (distance.to(frequencies.dtype) * frequency).cos()
    return _by_head(scale) * product.unsqueeze(-3).to(scale.dtype)


def xpos_decay(distance: Tensor, decay: float) -> Tensor:
    """XPOS (arXiv 2212.10554): ``decay^distance``, what a rotated score is multiplied by; 1 at keys after the query.

    The original has ``decay^m`` in the queries and ``decay^-n`` in the keys, which overflows in long texts.

    Args:
        distance: any shape.
        decay: between 0 and 1.

    Returns:
        In the type of ``distance`` if it is floating, else in float64 (float32 on Apple's MPS).
    """
    if not distance.is_floating_point():
        distance = distance.to(torch.float32 if distance.device.type == "mps" else torch.float64)
    return (distance.clamp(min=0) * math.log(decay)).exp()


def _by_head(x: Tensor) -> Tensor:
    return x[:, None, None]


def _spread(distance: Tensor, like: Tensor) -> Tensor:
    return distance.abs().unsqueeze(-3).to(like.dtype)
