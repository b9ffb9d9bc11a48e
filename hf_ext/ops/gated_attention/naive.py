"""Gated attention written out, the readable twin of the fused forms (arXiv 2202.10447; kexue.fm/archives/8934, 9052).

Shapes: B batch, L tokens, I width of gate and values, K size of the one query and key head.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from hf_ext.ops.rotary import apply_rotary

Rotation = tuple[Tensor, Tensor]


def split_projection(
    projected: Tensor,
    query_scale: Tensor,
    key_scale: Tensor,
    query_rotation: Rotation,
    key_rotation: Rotation,
    activation: Callable[[Tensor], Tensor] = F.silu,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Make gate, query, key and value of a token's projection: ``[u, v, z] = act(x W)``, q and k are z scaled, rotated.

    Args:
        projected: ``[B, L, 2I + K]``, before the activation.
        query_scale: ``[K]``.
        key_scale: ``[K]``.
        query_rotation: cosines and sines ``[B or 1, L, K/2]``, times what the scores of each query are multiplied by.
        key_rotation: cosines and sines ``[B or 1, L, K/2]``.
        activation: applied to the whole projection.

    Returns:
        gate ``[B, L, I]``, query ``[B, L, K]``, key ``[B, L, K]``, value ``[B, L, I]``.
    """
    size = query_scale.shape[0]
    inner = (projected.shape[-1] - size) // 2
    gate, value, shared = activation(projected).split((inner, inner, size), dim=-1)
    query = rotate(shared * query_scale.to(shared.dtype), *query_rotation)
    key = rotate(shared * key_scale.to(shared.dtype), *key_rotation)
    return gate, query, key, value


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate ``[B, L, K]``."""
    return apply_rotary(x.unsqueeze(2), cos, sin).squeeze(2)


def naive_gated_attention(
    projected: Tensor,
    query_scale: Tensor,
    key_scale: Tensor,
    query_rotation: Rotation,
    key_rotation: Rotation,
    mask: Tensor | None = None,
    lengths: list[int] | None = None,
    dropout: float = 0.0,
    activation: Callable[[Tensor], Tensor] = F.silu,
) -> Tensor:
    """``u * (softmax(q k^T) v)``: arguments as in :func:`hf_ext.ops.gated_attention.gated_attention`.

    Returns:
        ``[B, L, I]``.
    """
    gate, query, key, value = split_projection(
        projected, query_scale, key_scale, query_rotation, key_rotation, activation
    )
    scores = query @ key.mT
    if lengths is not None:
        blocks = [torch.ones(n, n, dtype=torch.bool, device=scores.device) for n in lengths]
        mask = torch.block_diag(*blocks).bool()[None, None]
    if mask is not None:
        scores = apply_mask(scores, mask[:, 0])
    weights = F.dropout(softmax(scores), dropout, training=dropout > 0)
    return gate * (weights @ value)


def apply_mask(scores: Tensor, mask: Tensor) -> Tensor:
    """Hide keys: ``scores`` ``[B, Lq, Lk]``, ``mask`` bool (True where seen) or additive, broadcastable to it."""
    if mask.dtype == torch.bool:
        return scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores + mask


def softmax(scores: Tensor) -> Tensor:
    """Softmax over keys, in float32 or better, returned in the type of ``scores``."""
    return scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32)).type_as(scores)
