"""Efficient GlobalPointer's sums of exponentials as bilinear forms over tiles of the products that types share."""

from typing import Any

import torch
from torch import Tensor

from hf_ext.ops.pointer import efficient_pointer_scores, span_mask
from hf_ext.ops.pointer_tiles import Chunk, Tiling
from hf_ext.ops.precision import at_least_float32


def bilinear_sums(
    query: Tensor,
    key: Tensor,
    start_bias: Tensor,
    end_bias: Tensor,
    tiling: Tiling,
    attention_mask: Tensor | None,
    dtype: torch.dtype,
) -> Tensor:
    """``log(1 + sum_ij e^(q_i . k_j / sqrt(D) + start_ci + end_cj))`` over all cells but the tiling's.

    The sum is ``u_c^T E v_c``, where E holds the exponentials of the products and u_c, v_c those of the biases.

    Args:
        query: ``[B, L, D]``.
        key: ``[B, L, D]``.
        start_bias: ``[B, L, C]``.
        end_bias: ``[B, L, C]``.
        tiling: of B, one type, L.
        attention_mask: what the tiling was made of.
        dtype: in which no product of three exponentials overflows or vanishes.

    Returns:
        ``[B, C]`` in float32 or better.
    """
    with torch.autocast(query.device.type, enabled=False):
        out: Tensor = _BilinearSums.apply(query, key, start_bias, end_bias, tiling, attention_mask, dtype)
    return out


class _BilinearSums(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        start_bias: Tensor,
        end_bias: Tensor,
        tiling: Tiling,
        attention_mask: Tensor | None,
        dtype: torch.dtype,
    ) -> Tensor:
        totals = torch.zeros(query.shape[0], start_bias.shape[-1], dtype=dtype, device=query.device)
        scale = query.shape[-1] ** -0.5
        for chunk in tiling.chunks:
            starts, ends = chunk.vectors(query.unsqueeze(2), scale), chunk.vectors(key.unsqueeze(2))
            u, v = _exponentials(start_bias, chunk, dtype), _exponentials(end_bias, chunk, dtype)
            for tile in chunk.tiles:
                products = torch.bmm(starts[:, tile.starts], ends[:, tile.ends].mT)
                e = tiling.hide(products, chunk, tile).to(dtype).exp_()
                totals[chunk.rows] += (torch.bmm(u[..., tile.starts], e) * v[..., tile.ends]).sum(-1)
        ctx.tiling, ctx.dtype = tiling, dtype
        ctx.save_for_backward(query, key, start_bias, end_bias, totals, attention_mask)
        return totals.log1p().to(torch.promote_types(query.dtype, torch.float32))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, start_bias, end_bias, totals, attention_mask = ctx.saved_tensors
        inputs = (query, key, start_bias, end_bias)
        with torch.autocast(grad.device.type, enabled=False):
            if torch.is_grad_enabled():
                # Derivatives of the gradients are those of the readable form.
                wanted = [x for x in inputs if x.requires_grad]
                outputs = _dense_sums(*inputs, ctx.tiling, attention_mask)
                grads = iter(torch.autograd.grad(outputs, wanted, grad, create_graph=True))
                return *[next(grads) if x.requires_grad else None for x in inputs], None, None, None
            return *_backward(ctx, *inputs, totals, grad), None, None, None


def _backward(
    ctx: Any, query: Tensor, key: Tensor, start_bias: Tensor, end_bias: Tensor, totals: Tensor, grad: Tensor
) -> tuple[Tensor, ...]:
    inputs = (query, key, start_bias, end_bias)
    grad_query, grad_key, grad_start, grad_end = (torch.zeros(x.shape, dtype=x.dtype, device=x.device) for x in inputs)
    tiling, dtype, scale = ctx.tiling, ctx.dtype, query.shape[-1] ** -0.5
    factors = (grad.to(dtype) / (1 + totals)).unsqueeze(-1)
    for chunk in tiling.chunks:
        starts, ends = chunk.vectors(query.unsqueeze(2), scale), chunk.vectors(key.unsqueeze(2))
        u, v = _exponentials(start_bias, chunk, dtype), _exponentials(end_bias, chunk, dtype)
        weighted = u * factors[chunk.rows]
        grad_starts, grad_ends = torch.zeros_like(starts), torch.zeros_like(ends)
        grad_u, grad_v = torch.zeros_like(u), torch.zeros_like(v)
        for tile in chunk.tiles:
            products = torch.bmm(starts[:, tile.starts], ends[:, tile.ends].mT)
            e = tiling.hide(products, chunk, tile).to(dtype).exp_()
            left, right = weighted[..., tile.starts], v[..., tile.ends]
            grad_u[..., tile.starts] = torch.bmm(right, e.mT)
            grad_v[..., tile.ends].baddbmm_(left, e)
            grad_products = torch.bmm(left.mT, right).mul_(e).to(starts.dtype)
            torch.bmm(grad_products, ends[:, tile.ends], out=grad_starts[:, tile.starts])
            grad_ends[:, tile.ends].baddbmm_(grad_products.mT, starts[:, tile.starts])
        chunk.store(grad_starts.mul_(scale), grad_query.unsqueeze(2))
        chunk.store(grad_ends, grad_key.unsqueeze(2))
        grad_start[chunk.rows, chunk.tokens] = grad_u.mul_(weighted).mT.to(grad_start.dtype)
        grad_end[chunk.rows, chunk.tokens] = grad_v.mul_(v).mT.to(grad_end.dtype)
    return grad_query, grad_key, grad_start, grad_end


def _exponentials(bias: Tensor, chunk: Chunk, dtype: torch.dtype) -> Tensor:
    """``[b, C, S]``, 0 at padding."""
    values = bias[chunk.rows, chunk.tokens].mT.to(dtype, copy=True).exp_()
    return values if chunk.padding is None else values.masked_fill_(chunk.padding.unsqueeze(1), 0)


def _dense_sums(
    query: Tensor, key: Tensor, start_bias: Tensor, end_bias: Tensor, tiling: Tiling, attention_mask: Tensor | None
) -> Tensor:
    allowed = span_mask(query.shape[1], attention_mask, tiling.ordered, query.device)
    allowed = allowed.repeat(len(query) if len(allowed) == 1 else 1, 1, 1)
    row, _, start, end = tiling.cells.unbind(-1)
    allowed[row, start, end] = False
    scores = efficient_pointer_scores(query, key, start_bias, end_bias, allowed)
    return at_least_float32(scores).flatten(2).exp().sum(-1).log1p()
