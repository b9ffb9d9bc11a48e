"""FNet's mixing: the real part of the Fourier transform over tokens and features (arXiv 2105.03824).

``Re FFT2(x) = C_L x C_H - S_L x S_H``, with ``C_n[j, k] = cos(2 pi j k / n)`` and ``S_n`` of sines. The transform of a
text depends on its length, and zeros behind a text do not undo that: each row is transformed over its own tokens.

Shapes: B rows, L tokens, H features.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hf_ext.ops.precision import at_least_float32

_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

Waves = tuple[Tensor, Tensor]
RowGroups = Sequence[tuple[int, Tensor]]


def has_fft(device: torch.device) -> bool:
    """Whether a device has a fast transform of its own; others, and graphs, multiply by the two matrices."""
    return device.type in ("cpu", "cuda")


def rows_by_length(real: Tensor) -> list[tuple[int, Tensor]]:
    """The rows of each length, for :func:`fourier_mix`.

    Args:
        real: bool ``[B, L]``, True at the real tokens, which come first in each row.

    Returns:
        Lengths above 0, and the numbers of the rows that have it, ``[b]``.
    """
    lengths = real.sum(-1)
    return [(length, (lengths == length).nonzero()[:, 0]) for length in sorted(set(lengths.tolist())) if length]


def fourier_mix(x: Tensor, groups: RowGroups | None = None) -> Tensor:
    """Real part of the transform over tokens and features, by the fast algorithm.

    Args:
        x: ``[B, L, H]``.
        groups: of :func:`rows_by_length`; None: all rows have L tokens.

    Returns:
        ``[B, L, H]`` in float32 or better, in which half precision is computed; zero behind the tokens of a row. It is
        not scaled, and grows with the root of L * H.

    Raises:
        TypeError: for a type of number that has no such transform.
    """
    _check(x)
    mixed: Tensor = _FourierMix.apply(at_least_float32(x), groups)
    return mixed


class _FourierMix(torch.autograd.Function):
    """The transform is its own transpose: so is its gradient, and nothing is kept for it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, groups: RowGroups | None) -> Tensor:
        ctx.groups = groups
        if groups is None or (len(groups) == 1 and groups[0][0] == x.shape[1] and len(groups[0][1]) == len(x)):
            return _transform(x)
        out = torch.zeros_like(x)
        for length, rows in groups:
            out[rows, :length] = _transform(x[rows, :length])
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        mixed: Tensor = _FourierMix.apply(gradients[0], ctx.groups)
        return mixed, None


def _transform(x: Tensor) -> Tensor:
    out, size = torch.empty_like(x), x.shape[-1]
    half = torch.fft.rfft2(x).real
    known = half.shape[-1]
    out[..., :known] = half
    # The other half of the features is there already: out[k, H - h] = out[L - k, h].
    rest = half[..., 1 : (size + 1) // 2].flip(-1)
    out[:, :1, known:] = rest[:, :1]
    out[:, 1:, known:] = rest[:, 1:].flip(-2)
    return out


def fourier_matrices(size: int, lengths: Tensor, dtype: torch.dtype = torch.float32) -> Waves:
    """The two matrices of rows of different lengths.

    Args:
        size: n, no less than any length.
        lengths: ``[B]``.
        dtype: of the result, float32 or better.

    Returns:
        Cosines and sines ``[B, n, n]``, zero behind the length of each row.
    """
    places = torch.arange(size, device=lengths.device)
    period = lengths.clamp(min=1)[:, None, None]
    # Whole turns are left out while numbers are whole.
    angles = (places[:, None] * places % period).to(dtype) * (2 * math.pi) / period
    inside = places < lengths[:, None]
    inside = inside[:, :, None] & inside[:, None, :]
    return angles.cos() * inside, angles.sin() * inside


def fourier_mix_by_matrices(x: Tensor, tokens: Waves, features: Waves) -> Tensor:
    """The transform as products, for graphs, whose rows have lengths that only the data knows, and devices without FFT.

    Args:
        x: ``[B, L, H]``.
        tokens: of :func:`fourier_matrices`, ``[B or 1, L, L]``.
        features: the same, ``[1, H, H]``.

    Returns:
        ``[B, L, H]`` in float32 or better.

    Raises:
        TypeError: for a type of number that has no such transform.
    """
    _check(x)
    with torch.autocast(x.device.type, enabled=False):
        x = at_least_float32(x)
        return tokens[0] @ x @ features[0] - tokens[1] @ x @ features[1]


def _check(x: Tensor) -> None:
    if x.dtype not in _TYPES:
        raise TypeError(f"x must be of one of the types {', '.join(map(str, _TYPES))}, got {x.dtype}")
