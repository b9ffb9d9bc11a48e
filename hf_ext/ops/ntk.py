"""Rotary frequencies stretched for texts longer than in training (kexue.fm/archives/9675, 9706), without training anew.

Each pair turns more slowly, the slow pairs by the whole factor of length and the fast ones by hardly any.
"""

import math

import torch
from torch import Tensor

from hf_ext.ops.rotary import rotary_frequencies

NTK_KINDS = ("ntk_old", "ntk_aware", "ntk_fixed", "ntk_mixed")


def ntk_frequencies(
    kind: str,
    dim: int,
    factor: float,
    theta: float = 10000.0,
    exponent: float = 0.625,
    device: torch.device | str | None = None,
) -> Tensor:
    """Angle of each pair for one step of position, for texts ``factor`` times as long; with a factor of 1 as they were.

    Args:
        kind: ``"ntk_old"``: the base times ``factor``. ``"ntk_aware"``: the base times ``factor^(dim / (dim - 2))``, by
            which the slowest pair is interpolated (reddit.com, bloc97). ``"ntk_fixed"``: pair i, from 0, is divided by
            ``factor^(2(i + 1) / dim)``. ``"ntk_mixed"``: by ``exp(a (i + 1)^exponent)`` with
            ``a = ln(factor) / (dim / 2)^exponent``, of which an exponent of 1 is ``"ntk_fixed"`` and 0 interpolates.
        dim: size D of the vectors to rotate, even.
        factor: length at hand over length of training.
        theta: base of the frequencies.
        exponent: 0.625 in the article, 0.75 in its code for LLaMA 2.
        device: where the result lies.

    Returns:
        ``[D/2]``, as of :func:`hf_ext.ops.rotary.rotary_frequencies`.

    Raises:
        ValueError: for an unknown kind, a factor that is not positive, or an odd ``dim``.
    """
    if kind not in NTK_KINDS:
        raise ValueError(f"kind must be one of {NTK_KINDS}, got {kind!r}")
    if factor <= 0:
        raise ValueError(f"factor must be positive, got {factor}")
    if kind == "ntk_old":
        return rotary_frequencies(dim, theta * factor, device)
    if kind == "ntk_aware":
        if dim < 4:
            raise ValueError(f'dim must be at least 4 for "ntk_aware", so that there are several pairs, got {dim}')
        return rotary_frequencies(dim, theta * factor ** (dim / (dim - 2)), device)
    plain = rotary_frequencies(dim, theta, device)
    exponent = 1.0 if kind == "ntk_fixed" else exponent
    steps = torch.arange(1, dim // 2 + 1, device=plain.device, dtype=plain.dtype)
    return plain * (-math.log(factor) * (steps / (dim / 2)) ** exponent).exp()
