"""Attention scores that grow with the logarithm of the number of keys (kexue.fm/archives/8823)."""

import math
from typing import Any

import torch
from torch import Tensor


def log_n_factor(keys: Tensor, lower_bound: int = 16, base: int = 512) -> Tensor:
    """What scores are multiplied by where softmax runs over ``keys`` keys: ``ln(max(keys, lower_bound)) / ln base``.

    Args:
        keys: numbers of keys, any shape.
        lower_bound: rows with fewer keys count as having this many, at least 1. Where it is the base, no factor is
            below 1, as a model wants it that was trained without (kexue.fm/archives/9706).
        base: number of keys at which the factor is 1, at least 2.

    Returns:
        The factors in the shape of ``keys``, in float64 (float32 on Apple's MPS, which has no float64).

    Raises:
        ValueError: if ``lower_bound`` is less than 1, or ``base`` less than 2.
    """
    if lower_bound < 1:
        raise ValueError(f"lower_bound must be at least 1, got {lower_bound}")
    if base < 2:
        raise ValueError(f"base must be at least 2, got {base}")
    dtype = torch.float32 if keys.device.type == "mps" else torch.float64
    return keys.to(dtype).clamp(min=lower_bound).log() / math.log(base)


def visible_keys(
    length: int, mask: Any, lengths: list[int] | None = None, device: torch.device | None = None
) -> Tensor:
    """How many keys each query sees.

    Args:
        length: number of tokens L.
        mask: bool ``[B or 1, 1, L or 1, L]``, True where a key is seen; additive, with large negative numbers where
            it is not; flex attention's ``BlockMask``; or None: all are seen.
        lengths: lengths of the sequences in a packed row, which do not see each other; no mask is given then.
        device: where the result lies; that of a mask if there is one.

    Returns:
        ``[B or 1, L or 1]``, of integers.
    """
    if lengths is not None:
        sizes = torch.tensor(lengths, device=device)
        return sizes.repeat_interleave(sizes, output_size=length)[None]
    if mask is None:
        return torch.full((1, 1), length, device=device)
    if not isinstance(mask, Tensor):
        from torch.nn.attention.flex_attention import create_mask

        rows = mask.shape[0]
        mask = create_mask(mask.mask_mod, rows, 1, length, length, device=str(device))
    seen = mask if mask.dtype == torch.bool else mask > torch.finfo(mask.dtype).min / 2
    return seen[:, 0].sum(-1)
