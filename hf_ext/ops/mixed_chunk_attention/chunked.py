"""Mixed chunk attention in time and memory linear in the length (arXiv 2202.10447; kexue.fm/archives/8934).

Shapes: B rows, L tokens, C chunk size, G chunks, K key size, I value size.
"""

import torch
from torch import Tensor

from hf_ext.ops.chunks import chunk_length, split
from hf_ext.ops.graphs import is_exported
from hf_ext.ops.mixed_chunk_attention.squared_relu import computing_type, scales, squared_relu_weights


def mixed_chunk_attention(
    query: Tensor,
    key: Tensor,
    linear_query: Tensor,
    linear_key: Tensor,
    value: Tensor,
    chunk_size: int,
    causal: bool,
    real: Tensor | None = None,
    bias: Tensor | None = None,
    scaling: str = "length",
) -> Tensor:
    """Squared-ReLU attention inside chunks of C tokens, plus linear attention across them.

    Token i sees the tokens of its chunk (if ``causal``, those up to itself) with the weights
    ``relu(q_i . k_j / C + bias_ij)^2``, or ``relu(q_i . k_j / sqrt(K) + bias_ij)^2 / C`` under
    ``scaling="key_size"``; and all real tokens of the text (if ``causal``, those of the chunks before its own) with
    ``lq_i . lk_j / n``, n being their number. So neither padding nor the future tells in any output.

    Args:
        query: ``[B, L, K]`` of the attention inside chunks.
        key: ``[B, L, K]`` of it.
        linear_query: ``[B, L, K]`` of the attention across chunks.
        linear_key: ``[B, L, K]`` of it.
        value: ``[B, L, I]``.
        chunk_size: C; the last chunk of a text may be shorter.
        causal: whether the future is hidden.
        real: bool ``[B, L]``; real tokens come first in a row, which :class:`RowAlignment` sees to. None: all are real.
        bias: ``[C, C]``, by the places of query and key in their chunk.
        scaling: ``"length"`` or ``"key_size"``.

    Returns:
        ``[B, L, I]`` in the type of ``value``, finite and without meaning at padding. Half precision is squared and
        summed in float32.

    Raises:
        ValueError: if ``scaling`` is unknown.
    """
    if causal:
        return causal_chunks(query, key, linear_query, linear_key, value, chunk_size, bias, scaling)[0]
    dtype, length = computing_type(value.dtype), value.shape[1]
    if real is None and is_exported():
        real = torch.ones_like(value[..., 0], dtype=torch.bool)
    with torch.autocast(value.device.type, enabled=False):
        size = chunk_length(chunk_size, length)
        visible = None
        if real is not None:
            linear_key = linear_key.masked_fill(~real[..., None], 0)
            visible = split(real[..., None], size).mT
            count: float | Tensor = real.sum(-1).clamp(min=1)[:, None, None]
        else:
            count = float(max(length, 1))
        if real is None and length % size:
            visible = split(torch.ones(1, length, 1, dtype=torch.bool, device=value.device), size).mT
        query, key, linear_query, linear_key, value_ = (
            x.to(dtype) for x in (query, key, linear_query, linear_key, value)
        )
        score_scale, weight_scale = scales(scaling, chunk_size, key.shape[-1])
        bias = None if bias is None else bias[:size, :size]
        weights = squared_relu_weights(split(query, size), split(key, size), score_scale, weight_scale, bias, visible)
        local = (weights @ split(value_, size)).flatten(1, 2)[:, :length]
        # A mean, so that it keeps the range of the values.
        mean = ((linear_key / count).to(dtype)).mT @ value_
        return torch.baddbmm(local, linear_query, mean).to(value.dtype)


def causal_chunks(
    query: Tensor,
    key: Tensor,
    linear_query: Tensor,
    linear_key: Tensor,
    value: Tensor,
    chunk_size: int,
    bias: Tensor | None,
    scaling: str,
    past: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """The causal form, from a state: padding needs no mask, as it comes after all real tokens.

    Args:
        query: and the next seven: as in :func:`mixed_chunk_attention`.
        key: ``[B, L, K]``.
        linear_query: ``[B, L, K]``.
        linear_key: ``[B, L, K]``.
        value: ``[B, L, I]``.
        chunk_size: C.
        bias: ``[C, C]``.
        scaling: ``"length"`` or ``"key_size"``.
        past: ``[B, K, I]``, the sum of ``lk_j v_j`` over the chunks before, and ``[B]``, the number of their tokens.

    Returns:
        ``[B, L, I]``, and the sums before each chunk ``[B, G, K, I]``, in float32 or better.
    """
    dtype, length = computing_type(value.dtype), value.shape[1]
    wide = torch.promote_types(dtype, torch.float32)
    with torch.autocast(value.device.type, enabled=False):
        size = chunk_length(chunk_size, length)
        q, k, lq, lk, v = (split(x.to(dtype), size) for x in (query, key, linear_query, linear_key, value))
        score_scale, weight_scale = scales(scaling, chunk_size, k.shape[-1])
        visible = torch.ones(size, size, dtype=torch.bool, device=v.device).tril()
        bias = None if bias is None else bias[:size, :size]
        local = squared_relu_weights(q, k, score_scale, weight_scale, bias, visible) @ v

        batch_size, chunks = v.shape[:2]
        if past is None:
            start, count = v.new_zeros(batch_size, *lk.shape[-1:], *v.shape[-1:], dtype=wide), None
        else:
            start, count = past
        if not is_exported() and chunks == 1 and past is None:
            return local.flatten(1, 2)[:, :length].to(value.dtype), start[:, None]
        sums = torch.cat((start[:, None], (lk[:, :-1].mT @ v[:, :-1]).to(wide)), dim=1).cumsum(1)
        before = torch.arange(chunks, device=v.device) * size
        before = (before[None] if count is None else count[:, None] + before).clamp(min=1)
        lq = (lq / before[..., None, None]).to(dtype)
        out = torch.baddbmm(local.flatten(0, 1), lq.flatten(0, 1), sums.to(dtype).flatten(0, 1))
        return out.view(batch_size, chunks * size, -1)[:, :length].to(value.dtype), sums
