"""Where the span ends that begins at a token: at the nearest end that is not before it."""

import torch
from torch import Tensor


def nearest_ends(ends: Tensor) -> Tensor:
    """For each place the first end at or after it.

    Args:
        ends: bool ``[..., L]``, True where a span may end.

    Returns:
        int64 ``[..., L]``, L where no end follows.
    """
    length = ends.shape[-1]
    place = torch.arange(length, device=ends.device).expand(ends.shape)
    place = place.masked_fill(~ends, length)
    return place.flip(-1).cummin(-1).values.flip(-1)
