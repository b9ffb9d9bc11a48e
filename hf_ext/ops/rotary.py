"""Rotary position embedding over adjacent pairs (kexue.fm/archives/8265; arXiv 2104.09864)."""

import torch
from torch import Tensor

from hf_ext.ops.graphs import in_graph


def rotary_frequencies(dim: int, theta: float = 10000.0, device: torch.device | str | None = None) -> Tensor:
    """Angle of each pair for one step of position, ``theta^(-2i/dim)``.

    Args:
        dim: size D of the vectors to rotate, even.
        theta: base of the frequencies.
        device: where the result lies.

    Returns:
        ``[D/2]`` in float64 (float32 on Apple's MPS, which has no float64).

    Raises:
        ValueError: if ``dim`` is odd.
    """
    if dim % 2:
        raise ValueError(f"dim must be even to rotate adjacent pairs, got {dim}")
    device = torch.device(device) if device is not None else torch.get_default_device()
    dtype = torch.float32 if device.type == "mps" else torch.float64
    return theta ** -(torch.arange(0, dim, 2, device=device, dtype=dtype) / dim)


def rotary_cos_sin(
    position_ids: Tensor, dim: int, theta: float = 10000.0, frequencies: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotation angles ``position * theta^(-2i/dim)``.

    Args:
        position_ids: ``[..., L]``, any integer type, any length: no table limits it.
        dim: size D of the vectors to rotate, even.
        theta: base of the frequencies.
        frequencies: ``[D/2]``, in place of those that ``dim`` and ``theta`` give (scaled RoPE).

    Returns:
        cos and sin, each ``[..., L, D/2]`` in the type of the frequencies: float64 unless they are given.
        Angles in float32 would be wrong by 1e-5 at position 500 and by 1e-2 at position 500,000.
    """
    if frequencies is None:
        frequencies = rotary_frequencies(dim, theta, position_ids.device)
    angles = position_ids[..., None].to(frequencies.dtype) * frequencies
    return angles.cos(), angles.sin()


def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the pairs ``(x[2i], x[2i+1])`` of the last dimension by the given angles, in float32 or better.

    Args:
        x: ``[B, L, N, D]`` queries or keys.
        cos: ``[B or 1, L, D/2]``, or ``[B or 1, L, N, D/2]`` where each head has angles of its own.
        sin: the same.

    Returns:
        ``[B, L, N, D]`` in the type of ``x``.
    """
    pairs = (x if x.dtype == torch.float64 else x.float()).unflatten(-1, (-1, 2))
    if cos.dim() < x.dim():
        cos, sin = cos.unsqueeze(-2), sin.unsqueeze(-2)
    cos, sin = cos.type_as(pairs), sin.type_as(pairs)
    if in_graph():
        # Inductor fuses the real form and cannot generate code for complex numbers.
        a, b = pairs.unbind(-1)
        out = torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1)
    else:
        # One complex product is ten times faster than the real form in eager mode. A slice may cut through its pairs.
        if pairs.stride(-1) != 1 or any(step % 2 for step in (pairs.storage_offset(), *pairs.stride()[:-1])):
            pairs = pairs.clone(memory_format=torch.contiguous_format)
        out = torch.view_as_real(torch.view_as_complex(pairs) * torch.complex(cos, sin))
    return out.flatten(-2).type_as(x)
