"""Texts cut into chunks of the same size."""

from torch import Tensor
from torch.nn import functional as F

from hf_ext.ops.graphs import is_exported


def chunk_length(chunk_size: int, length: int) -> int:
    """Tokens of a chunk in a text of ``length`` tokens: no more than it has, but where a graph is to take any text."""
    return chunk_size if is_exported() else min(chunk_size, max(length, 1))


def split(x: Tensor, size: int) -> Tensor:
    """Cut ``x`` ``[B, L, D]`` into chunks ``[B, G, size, D]``, the last one filled up with zeros."""
    missing = -x.shape[1] % size
    if is_exported() or missing:
        x = F.pad(x, (0, 0, 0, missing))
    return x.unflatten(1, (-1, size))
