"""GlobalPointer's sums of exponentials as one Triton kernel, which the backward pass runs again from both sides.

A program takes a block of vectors of one row and type, goes over the blocks of those that they pair with, and has for
each the sum over its pairs, as attention has it over keys. Of the gradient, ``e^(s - log sum)`` times the other vector
summed over the pairs, it makes that of its own block, so that no two programs write to one place.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from hf_ext.ops.logsumexp import log_one_plus_sum_exp
from hf_ext.ops.pointer_loss.fused import dense_sums

_BLOCK = 64


@triton.jit
def _pairs_kernel(  # type: ignore[no-untyped-def]
    own,
    other,
    real,
    offsets,
    own_places,
    other_places,
    log_sums,
    factors,
    out,
    length,
    types,
    scale,
    AFTER: tl.constexpr,
    BEFORE: tl.constexpr,
    GRADIENT: tl.constexpr,
    SIZE: tl.constexpr,
    BLOCK_SIZE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    group = tl.program_id(0).to(tl.int64)
    block = tl.program_id(1)
    first_token = group // types * length
    channels = tl.arange(0, BLOCK_SIZE)
    lines = block * BLOCK + tl.arange(0, BLOCK)
    mine = tl.load(real + first_token + lines, mask=lines < length, other=0) != 0
    vectors = ((first_token + lines) * types + group % types)[:, None] * SIZE + channels[None]
    x = tl.load(own + vectors, mask=mine[:, None] & (channels < SIZE)[None], other=0.0)
    cell = group * tl.num_programs(1) + block
    first_cell, last_cell = tl.load(offsets + cell), tl.load(offsets + cell + 1)

    peak = tl.full((BLOCK,), float("-inf"), tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    grad = tl.zeros((BLOCK, BLOCK_SIZE), tl.float32)
    # Ordered, a start pairs with no end before it, and an end with no start after it.
    begin = block * BLOCK if AFTER else 0
    stop = tl.minimum(length, (block + 1) * BLOCK) if BEFORE else length
    for start in range(begin, stop, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        theirs = tl.load(real + first_token + columns, mask=columns < length, other=0) != 0
        places = ((first_token + columns) * types + group % types)[:, None] * SIZE + channels[None]
        y = tl.load(other + places, mask=theirs[:, None] & (channels < SIZE)[None], other=0.0)
        allowed = mine[:, None] & theirs[None]
        if AFTER:
            allowed = allowed & (columns[None] >= lines[:, None])
        if BEFORE:
            allowed = allowed & (columns[None] <= lines[:, None])
        for n in range(first_cell, last_cell):
            labelled = (lines == tl.load(own_places + n))[:, None] & (columns == tl.load(other_places + n))[None]
            allowed = allowed & (labelled == 0)
        # In float32 proper: TF32 keeps three digits.
        scores = tl.dot(x, tl.trans(y), input_precision="ieee") * scale
        scores = tl.where(allowed, scores, float("-inf"))
        new_peak = tl.maximum(peak, tl.max(scores, 1))
        # Where nothing has been seen yet, -inf less -inf would be NaN.
        base = tl.where(new_peak == float("-inf"), 0.0, new_peak)
        weights, fade = tl.exp(scores - base[:, None]), tl.exp(peak - base)
        if GRADIENT:
            grad = grad * fade[:, None] + tl.dot(weights.to(y.dtype), y, input_precision="ieee")
        else:
            total = total * fade + tl.sum(weights, 1)
        peak = new_peak
    if GRADIENT:
        share = tl.load(factors + group) * tl.exp(peak - tl.load(log_sums + group))
        inside = (lines < length)[:, None] & (channels < SIZE)[None]
        tl.store(out + vectors, (grad * share[:, None]).to(x.dtype), mask=inside)
    else:
        # The logarithm of 0, too, is -inf.
        some = total > 0.0
        sums = tl.where(some, peak + tl.log(tl.where(some, total, 1.0)), float("-inf"))
        tl.store(out + group * length + lines, sums, mask=lines < length)


def triton_pointer_sums(
    query: Tensor, key: Tensor, cells: Tensor, attention_mask: Tensor | None, ordered: bool, scale: float
) -> tuple[Tensor, Tensor]:
    """As :func:`hf_ext.ops.pointer_loss.fused.pointer_sums`, in one kernel.

    Args:
        query: ``[B, L, C, D]``, float32, float16 or bfloat16; D at most 128.
        key: ``[B, L, C, D]``.
        cells: integers ``[N, 4]`` of (row, type, start, end), to be left out of the sums.
        attention_mask: ``[B, L]``, nonzero at real tokens; None if all are.
        ordered: no end before its start.
        scale: of the products.

    Returns:
        ``log(1 + sum e^s)`` ``[B, C]`` and the scores ``[N]`` of the cells, both in float32.
    """
    cells = cells.to(query.device)
    row, type_, start, end = cells.unbind(-1)
    log_sums: Tensor = _LogSums.apply(query, key, cells, attention_mask, ordered, scale)
    return log_sums, (query[row, start, type_].float() * key[row, end, type_].float()).sum(-1) * scale


class _LogSums(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, cells: Tensor, attention_mask: Tensor | None, ordered: bool, scale: float
    ) -> Tensor:
        ctx.ordered, ctx.scale = ordered, scale
        query, key = query.contiguous(), key.contiguous()
        log_sums = log_one_plus_sum_exp(_pairs(query, key, cells, attention_mask, ordered, scale))
        ctx.save_for_backward(query, key, cells, attention_mask, log_sums)
        return log_sums

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, cells, mask, log_sums = ctx.saved_tensors
        if torch.is_grad_enabled():
            # Derivatives of the gradients are those of the readable form.
            outputs, _ = dense_sums(query, key, cells, mask, ctx.ordered, ctx.scale)
            inputs = [x for x in (query, key) if x.requires_grad]
            grads = iter(torch.autograd.grad(outputs, inputs, grad, create_graph=True))
            return *[next(grads) if x.requires_grad else None for x in (query, key)], None, None, None, None
        upper = (log_sums, (grad * ctx.scale).contiguous())
        grads_of = [_pairs(query, key, cells, mask, ctx.ordered, ctx.scale, ends, upper) for ends in (False, True)]
        return *grads_of, None, None, None, None


def _pairs(
    query: Tensor,
    key: Tensor,
    cells: Tensor,
    attention_mask: Tensor | None,
    ordered: bool,
    scale: float,
    of_ends: bool = False,
    upper: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Logarithms of the sums ``[B, C, L]`` of starts or ends; given ``upper``, their gradients ``[B, L, C, D]``."""
    batch, length, types, size = query.shape
    row, type_, start, end = cells.unbind(-1)
    own, other, own_places, other_places = (key, query, end, start) if of_ends else (query, key, start, end)
    real = torch.ones(batch, length, device=query.device) if attention_mask is None else attention_mask
    blocks = triton.cdiv(length, _BLOCK)
    place = (row * types + type_) * blocks + own_places // _BLOCK
    order = place.argsort()
    offsets = torch.zeros(batch * types * blocks + 1, dtype=torch.long, device=query.device)
    offsets[1:] = torch.bincount(place, minlength=len(offsets) - 1).cumsum(0)
    out = torch.empty_like(own) if upper else own.new_empty(batch, types, length, dtype=torch.float32)
    log_sums, factors = upper or (out, out)
    if out.numel():
        _pairs_kernel[(batch * types, blocks)](
            own,
            other,
            real.to(query.device).ne(0).to(torch.uint8).contiguous(),
            offsets,
            own_places[order].contiguous(),
            other_places[order].contiguous(),
            log_sums,
            factors,
            out,
            length,
            types,
            scale,
            AFTER=ordered and not of_ends,
            BEFORE=ordered and of_ends,
            GRADIENT=upper is not None,
            SIZE=size,
            BLOCK_SIZE=max(16, triton.next_power_of_2(size)),
            BLOCK=_BLOCK,
        )
    return out
