"""On which side a batch is padded: places, and the tables of positions of most encoders, count from the left."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def padded_on_the_right(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Model inputs whose rows begin with their first real token, what stood before it behind the others.

    Args:
        inputs: ``attention_mask`` ``[..., L]``, if any; what else has its shape is moved along.
    """
    mask = inputs.get("attention_mask")
    if mask is None:
        return dict(inputs)
    first = (mask != 0).int().argmax(-1, keepdim=True)
    places = (torch.arange(mask.shape[-1], device=mask.device) + first) % mask.shape[-1]
    return {
        name: value.gather(-1, places) if isinstance(value, Tensor) and value.shape == mask.shape else value
        for name, value in inputs.items()
    }
