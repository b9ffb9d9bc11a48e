"""Attention in which each query sees the keys near it alone, in time and memory linear in the length.

In a causal model query i sees keys j with ``0 <= i - j < window``, else those with ``|i - j| <= (window - 1) // 2``.
Shapes: B batch, N heads, Q queries, S keys, D head size, V size of a value.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from hf_ext.ops.graphs import is_exported

# The least number of queries that attend at once.
_BLOCK = 32


def window_reach(window: int, causal: bool) -> tuple[int, int]:
    """How many keys to the left and to the right of its own a query sees."""
    half = (window - 1) // 2
    return (window - 1, 0) if causal else (half, half)


def window_mask(queries: int, keys: int, window: int, causal: bool, device: torch.device | None = None) -> Tensor:
    """Which key each query sees: ``[queries, keys]`` bool, the queries being the last of the keys' tokens."""
    left, right = window_reach(window, causal)
    places = torch.arange(keys, device=device)
    distance = places[keys - queries :, None] - places
    return (distance <= left) & (distance >= -right)


def naive_window_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    window: int,
    causal: bool,
    groups: Tensor | None = None,
    scaling: float = 1.0,
    dropout: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """The readable twin of :func:`window_attention`, with all scores; returns the weights ``[B, N, Q, S]`` too."""
    scores = query @ key.mT * scaling
    seen = window_mask(scores.shape[-2], scores.shape[-1], window, causal, scores.device)
    if groups is not None:
        same = groups[:, scores.shape[-1] - scores.shape[-2] :, None] == groups[:, None]
        seen = seen & same[:, None]
    scores = scores.masked_fill(~seen, torch.finfo(scores.dtype).min)
    weights = scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32)).type_as(query)
    weights = F.dropout(weights, dropout, training=dropout > 0)
    return weights @ value, weights


def window_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    window: int,
    causal: bool,
    groups: Tensor | None = None,
    scaling: float = 1.0,
    dropout: float = 0.0,
) -> Tensor:
    """Attend within a window: blocks of queries, each with the keys that one of them sees; exported graphs score all.

    Args:
        query: ``[B, N, Q, D]``, those of the last Q tokens.
        key: ``[B, N, S, D]``, S at least Q.
        value: ``[B, N, S, V]``.
        window: number of keys that a query sees, its own among them.
        causal: whether all of them are before it; else half are on each side.
        groups: ``[B or 1, S]`` of integers; a query sees keys of its own number alone. None: all are one group.
        scaling: factor of the scores.
        dropout: probability of dropping a weight.

    Returns:
        ``[B, N, Q, V]``.
    """
    if is_exported():
        # A graph that outlives these sizes has no place for numbers of blocks.
        return naive_window_attention(query, key, value, window, causal, groups, scaling, dropout)[0]
    (batch, heads, queries, _), keys = query.shape, key.shape[2]
    left, right = window_reach(window, causal)
    # Keys before the first query's window are seen by none.
    cut = max(keys - queries - left, 0)
    key, value = key[:, :, cut:], value[:, :, cut:]
    groups = groups[:, cut:] if groups is not None else None
    keys -= cut
    block = max(left + right, _BLOCK)
    blocks = -(-queries // block)
    # In front as many as bring the first query to its place, behind as many as fill the last block.
    front = left - (keys - queries)
    padding = (front, blocks * block - queries + right)
    span = block + left + right

    def cut_keys(x: Tensor) -> Tensor:
        # [B, N, S, D] to [B * blocks, N, span, D]; the windows are views until they are joined.
        windows = F.pad(x, (0, 0, *padding)).unfold(2, span, block)
        return windows.permute(0, 2, 1, 4, 3).reshape(batch * blocks, heads, span, x.shape[-1])

    def cut_queries(x: Tensor) -> Tensor:
        x = F.pad(x, (0, 0, 0, blocks * block - queries)).unflatten(2, (blocks, block))
        return x.transpose(1, 2).flatten(0, 1)

    places = torch.arange(span, device=query.device) - torch.arange(block, device=query.device)[:, None]
    seen = (places >= 0) & (places <= left + right)
    if groups is None:
        groups = torch.zeros(1, keys, dtype=torch.long, device=query.device)
    # What is added is of no group.
    last = torch.iinfo(torch.long).min
    own = F.pad(groups.long(), padding, value=last).unfold(1, span, block)
    asking = F.pad(groups.long()[:, keys - queries :], (0, blocks * block - queries), value=last)
    asking = asking.unflatten(1, (blocks, block))
    inside = F.pad(torch.ones(keys, dtype=torch.bool, device=query.device), padding).unfold(0, span, block)
    seen = seen & inside[:, None] & (asking[..., None] == own[:, :, None])
    # A row of the last block that asks for nothing sees something all the same: its gradient would not be a number.
    seen = seen | ~seen.any(-1, keepdim=True)
    seen = seen.expand(batch, -1, -1, -1).reshape(batch * blocks, 1, block, span)
    out = F.scaled_dot_product_attention(
        cut_queries(query), cut_keys(key), cut_keys(value), seen, dropout_p=dropout, scale=scaling
    )
    return out.unflatten(0, (batch, blocks)).transpose(1, 2).flatten(2, 3)[:, :, :queries]
