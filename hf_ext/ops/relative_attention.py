"""Attention with clipped relative positions in scores and values (NEZHA, arXiv 1909.00204), without an [L, L, D].

Shapes: B batch, N heads, Q queries, S keys, D head size, R = 2M + 1 distances from -M to M.
"""

import torch
from torch import Tensor, nn

from hf_ext.ops.graphs import is_exported


def relative_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    table: Tensor,
    attention_mask: Tensor | None = None,
    scaling: float = 1.0,
    dropout: float = 0.0,
    first_query: int | Tensor = 0,
) -> tuple[Tensor, Tensor]:
    """Attend with ``table[clip(j - i, -M, M) + M]`` added to key j and to value j of query i.

    The scores' part is a product with the R rows of the table, spread over the keys; the values' part is a product of
    the table with the weights summed by distance. Both take time and memory in Q * S, not in Q * S * D.

    Args:
        query: ``[B, N, Q, D]``.
        key: ``[B, N, S, D]``.
        value: ``[B, N, S, D]``.
        table: ``[R, D]``, R odd.
        attention_mask: additive, or bool with True where a key is seen, broadcastable to ``[B, N, Q, S]``; or None.
        scaling: factor of the scores.
        dropout: probability of dropping a weight.
        first_query: place of the first query among the keys (with a cache, the number of cached keys).

    Returns:
        Output ``[B, N, Q, D]`` and weights ``[B, N, Q, S]``.
    """
    queries, keys, reach = query.shape[2], key.shape[2], len(table) // 2
    places = torch.arange(queries, device=query.device) + first_query
    distance = torch.arange(keys, device=query.device) - places[:, None]
    row = distance.clamp(-reach, reach) + reach
    scores = query @ key.transpose(2, 3)
    scores = scores + (query @ table.T).gather(-1, row.expand(*scores.shape[:2], -1, -1))
    scores = scores * scaling
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    elif attention_mask is not None:
        scores = scores + attention_mask
    weights = scores.softmax(dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32)).type_as(query)
    weights = nn.functional.dropout(weights, p=dropout)
    # Each distance that is not clipped has at most one key; the two ends have all keys beyond them.
    near = torch.arange(1 - reach, reach, device=query.device) + places[:, None]
    inside = (near >= 0) & (near < keys)
    middle = weights.gather(-1, near.clamp(0, keys - 1).expand(*weights.shape[:2], -1, -1)) * inside
    # A graph that outlives these sizes has no place for triangles that depend on them.
    if not is_exported() and isinstance(first_query, int) and first_query == 0 and queries == keys:
        # The ends are triangles in two corners of the weights.
        rest = max(queries - reach, 0)
        left = nn.functional.pad(weights[..., queries - rest :, :rest].tril().sum(-1), (queries - rest, 0))
        right = nn.functional.pad(weights[..., :rest, keys - rest :].triu().sum(-1), (0, queries - rest))
    else:
        left, right = ((weights * end).sum(-1) for end in (distance <= -reach, distance >= reach))
    by_distance = torch.cat((left[..., None], middle, right[..., None]), dim=-1)
    return weights @ value + by_distance @ table, weights
