"""Distances of tokens in buckets that widen with the distance (arXiv 1910.10683, 2205.13401)."""

import math

import torch
from torch import Tensor


def distance_buckets(distance: Tensor, buckets: int = 64, max_distance: int = 128) -> Tensor:
    """The bucket of each distance: one for each that is near, further out by its logarithm, to either side.

    Those of T5 and of URPE's code, but for the numbers of the buckets: here they grow with the distance.

    Args:
        distance: place of the key less that of the query, any shape.
        buckets: an even number, 4 at least. A quarter of them to each side hold a distance each.
        max_distance: from here on all distances of a side are in its last bucket; more than a quarter of the buckets.

    Returns:
        Numbers from 0 to ``buckets - 2`` in the shape of ``distance``; the distance 0 is in ``buckets / 2 - 1``.

    Raises:
        ValueError: if ``buckets`` is odd or less than 4, or ``max_distance`` too small.
    """
    if buckets < 4 or buckets % 2:
        raise ValueError(f"buckets must be even and at least 4, got {buckets}")
    side, near = buckets // 2, buckets // 4
    if max_distance <= near:
        raise ValueError(f"max_distance must be more than a quarter of the {buckets} buckets, got {max_distance}")
    size = distance.abs()
    # Where the logarithm is not wanted, the distance may be 0.
    grown = (size.clamp(min=near).float() / near).log() / math.log(max_distance / near) * (side - near)
    far = (near + grown.long()).clamp(max=side - 1)
    return distance.sign() * torch.where(size < near, size, far) + side - 1
