"""How many keys each query sees, told by what is real and which document it is in, without a mask ``[L, L]``.

`hf_ext.ops.gated_attention.visible_keys` counts in a mask that is there.
"""

import torch
from torch import Tensor


def key_counts(groups: Tensor, queries: int, left: int | None, right: int | None) -> Tensor:
    """Number of real keys of a query's own group that are within its reach; at least 1.

    Args:
        groups: ``[B, S]`` of integers from 0, the same for tokens that see each other; those of a row do not fall.
            Negative at padding, which may lie anywhere.
        queries: the last so many of the S tokens ask.
        left: how many keys before its own a query reaches; None: all.
        right: how many after it; None: all.

    Returns:
        ``[B, queries]`` of integers; what it says of padding means nothing.
    """
    rows, keys = groups.shape
    real = groups >= 0
    places = torch.arange(keys, device=groups.device).expand(rows, -1)
    # Where each group begins and ends; padding has a slot of its own, of which nothing is asked.
    slots = torch.where(real, groups, keys)
    first = torch.full((rows, keys + 1), keys, device=groups.device).scatter_reduce(1, slots, places, "amin")
    last = torch.zeros(rows, keys + 1, dtype=torch.long, device=groups.device).scatter_reduce(1, slots, places, "amax")
    begin, end = first.gather(1, slots), last.gather(1, slots)
    if left is not None:
        begin = torch.maximum(begin, places - left)
    if right is not None:
        end = torch.minimum(end, places + right)
    total = torch.nn.functional.pad(real.cumsum(-1), (1, 0))
    counts = total.gather(1, end + 1) - total.gather(1, begin)
    return counts[:, keys - queries :].clamp(min=1)
