"""The forward pass of gated attention as one Triton kernel: scores, softmax, values and gate, with no table of scores.

A program makes a block of queries' outputs, for a part of the value's width: scores are cheap, as queries are narrow.
Shapes: B batch, L tokens, I width of gate and values, K size of the one query and key head.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

_QUERIES, _KEYS, _WIDTH = 64, 32, 128


@triton.jit
def _forward_kernel(  # type: ignore[no-untyped-def]
    query,
    key,
    value,
    gate,
    begin,
    end,
    mask,
    attended,
    gated,
    length,
    value_step,
    gate_step,
    mask_row,
    mask_query,
    HAS_MASK: tl.constexpr,
    SIZE: tl.constexpr,
    INNER: tl.constexpr,
    BLOCK_SIZE: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    row = tl.program_id(2).to(tl.int64)
    queries = tl.program_id(0) * QUERIES + tl.arange(0, QUERIES)
    columns = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    channels = tl.arange(0, BLOCK_SIZE)
    real, inside = queries < length, columns < INNER
    first = tl.load(begin + row * length + queries, mask=real, other=length)
    last = tl.load(end + row * length + queries, mask=real, other=0)
    places = (row * length + queries)[:, None]
    q = tl.load(query + places * SIZE + channels[None], mask=real[:, None] & (channels < SIZE)[None], other=0.0)

    peak = tl.full((QUERIES,), float("-inf"), tl.float32)
    total = tl.zeros((QUERIES,), tl.float32)
    out = tl.zeros((QUERIES, WIDTH), tl.float32)
    for start in range(tl.min(first, 0) // KEYS * KEYS, tl.max(last, 0), KEYS):
        keys = start + tl.arange(0, KEYS)
        k = tl.load(
            key + (row * length + keys)[None] * SIZE + channels[:, None],
            mask=(keys < length)[None] & (channels < SIZE)[:, None],
            other=0.0,
        )
        seen = (keys[None] >= first[:, None]) & (keys[None] < last[:, None])
        if HAS_MASK:
            visible = tl.load(mask + row * mask_row + queries[:, None] * mask_query + keys[None], mask=seen, other=0)
            seen = seen & (visible != 0)
        # Powers of two are what the hardware has.
        scores = tl.where(seen, tl.dot(q, k) * 1.4426950408889634, float("-inf"))
        new_peak = tl.maximum(peak, tl.max(scores, 1))
        # Where nothing has been seen yet, -inf less -inf would be NaN.
        base = tl.where(new_peak == float("-inf"), 0.0, new_peak)
        weights, fade = tl.exp2(scores - base[:, None]), tl.exp2(peak - base)
        total = total * fade + tl.sum(weights, 1)
        v = tl.load(
            value + (row * length + keys)[:, None] * value_step + columns[None],
            mask=(keys < length)[:, None] & inside[None],
            other=0.0,
        )
        out = out * fade[:, None] + tl.dot(weights.to(v.dtype), v)
        peak = new_peak
    out = out / tl.where(total == 0.0, 1.0, total)[:, None]
    where = real[:, None] & inside[None]
    u = tl.load(gate + places * gate_step + columns[None], mask=where, other=0.0).to(tl.float32)
    tl.store(attended + places * INNER + columns[None], out, mask=where)
    tl.store(gated + places * INNER + columns[None], out * u / (1.0 + tl.exp(-u)), mask=where)


def triton_forward(
    query: Tensor, key: Tensor, value: Tensor, gate: Tensor, mask: Tensor | None, lengths: list[int] | None
) -> tuple[Tensor, Tensor]:
    """Attend and gate.

    Args:
        query: ``[B, L, K]``, scaled.
        key: ``[B, L, K]``.
        value: ``[B, L, I]``, its last dimension contiguous.
        gate: ``[B, L, I]`` before its ``silu``, likewise.
        mask: bool ``[B or 1, 1, L or 1, L]``, or None.
        lengths: lengths of the sequences of a packed row, or None.

    Returns:
        Attended values ``[B, L, I]``, 0 for a query that sees nothing, and the same gated.
    """
    rows, length, size = query.shape
    inner = value.shape[-1]
    begin = torch.zeros(rows, length, dtype=torch.int32, device=query.device)
    end = torch.full_like(begin, length)
    if lengths is not None:
        sizes = torch.tensor(lengths, dtype=torch.int32, device=query.device)
        stops = sizes.cumsum(0, dtype=torch.int32)
        end = stops.repeat_interleave(sizes, output_size=length)[None].contiguous()
        begin = (stops - sizes).repeat_interleave(sizes, output_size=length)[None].contiguous()
    steps = (0, 0)
    if mask is not None:
        mask = mask.expand(rows, 1, length, length)[:, 0]
        mask = mask if mask.stride(-1) == 1 else mask.contiguous()
        steps = (mask.stride(0), mask.stride(1))
    attended, gated = (query.new_empty(rows, length, inner) for _ in range(2))
    _forward_kernel[(triton.cdiv(length, _QUERIES), triton.cdiv(inner, _WIDTH), rows)](
        query.contiguous(),
        key.contiguous(),
        value,
        gate,
        begin,
        end,
        query if mask is None else mask.view(torch.uint8),
        attended,
        gated,
        length,
        value.stride(1),
        gate.stride(1),
        *steps,
        HAS_MASK=mask is not None,
        SIZE=size,
        INNER=inner,
        BLOCK_SIZE=max(16, triton.next_power_of_2(size)),
        QUERIES=_QUERIES,
        KEYS=_KEYS,
        WIDTH=_WIDTH,
    )
    return attended, gated
