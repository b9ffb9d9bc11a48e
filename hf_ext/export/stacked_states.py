"""Keys and values of all blocks as one tensor, which a graph takes and gives.

Shapes: B batch, T tokens, Y blocks, N heads, D size of a head.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.cache_utils import Cache, DynamicCache


def stacked_states(cache: Any, shorter: int = 0) -> Tensor:
    """Keys and values of a cache, ``[B, Y, 2, N, T, D]``.

    Args:
        cache: of Transformers.
        shorter: first blocks that have one key less than the others; zeros stand before theirs.
    """
    layers: Iterable[Any] = cache.layers
    both = [torch.stack((layer.keys, layer.values), 1) for layer in layers]
    return torch.stack([F.pad(own, (0, 0, 1, 0)) if number < shorter else own for number, own in enumerate(both)], 1)


def cache_of_states(states: Tensor, shorter: int = 0) -> Cache:
    """The cache that `stacked_states` gave ``[B, Y, 2, N, T, D]`` of."""
    cache = DynamicCache()
    for number, both in enumerate(states.unbind(1)):
        keys, values = (both[..., 1:, :] if number < shorter else both).unbind(1)
        cache.update(keys, values, number)
    return cache
