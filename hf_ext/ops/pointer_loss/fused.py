"""GlobalPointer's sums of exponentials over tiles of the scores, which the backward pass computes again."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from hf_ext.ops.logsumexp import log_one_plus_sum_exp
from hf_ext.ops.pointer import pointer_scores, span_mask
from hf_ext.ops.pointer_tiles import Tiling


def pointer_sums(
    query: Tensor, key: Tensor, tiling: Tiling, attention_mask: Tensor | None, scale: float
) -> tuple[Tensor, Tensor]:
    """Sums over the spans that are not labelled, and the scores of those that are.

    Args:
        query: ``[B, L, C, D]``.
        key: ``[B, L, C, D]``.
        tiling: of B, C, L, with the N labelled cells.
        attention_mask: what the tiling was made of.
        scale: of the products.

    Returns:
        ``log(1 + sum e^s)`` ``[B, C]`` and the scores ``[N]`` of ``tiling.cells``, both in float32 or better.
    """
    # The products run in float32, whatever autocast would make of them.
    with torch.autocast(query.device.type, enabled=False):
        log_sums, chosen = _PointerSums.apply(query, key, tiling, attention_mask, scale)
    return log_sums, chosen


class _PointerSums(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, tiling: Tiling, attention_mask: Tensor | None, scale: float
    ) -> tuple[Tensor, Tensor]:
        batch, types, _ = tiling.shape
        dtype = torch.promote_types(query.dtype, torch.float32)
        log_sums = torch.empty(batch, types, dtype=dtype, device=query.device)
        chosen, kept = [], []
        for chunk in tiling.chunks:
            starts, ends = chunk.vectors(query, scale), chunk.vectors(key)
            # A score of 0 is the 1 of log(1 + ...).
            peak = starts.new_zeros(len(starts), 1, 1)
            total = torch.ones_like(peak)
            if tiling.kept:
                kept += [starts, ends]
            for tile in chunk.tiles:
                scores = torch.bmm(starts[:, tile.starts], ends[:, tile.ends].mT)
                group, start, end = tile.cells
                if len(group):
                    chosen.append(scores[group, start, end])
                tiling.hide(scores, chunk, tile)
                higher = torch.maximum(peak, scores.amax((1, 2), keepdim=True)).clamp_max(torch.finfo(dtype).max)
                total.mul_(torch.exp(peak - higher)).add_(scores.sub_(higher).exp_().sum((1, 2), keepdim=True))
                peak = higher
                if tiling.kept:
                    kept += [scores, peak]
            log_sums[chunk.rows, chunk.types] = (peak + total.log()).view_as(log_sums[chunk.rows, chunk.types])
        ctx.tiling, ctx.scale = tiling, scale
        ctx.save_for_backward(query, key, log_sums, attention_mask, *kept)
        return log_sums, torch.cat(chosen) if chosen else log_sums.new_empty(0)

    @staticmethod
    def backward(ctx: Any, grad_sums: Tensor, grad_chosen: Tensor) -> tuple[Tensor | None, ...]:
        query, key, log_sums, attention_mask, *kept = ctx.saved_tensors
        with torch.autocast(query.device.type, enabled=False):
            if torch.is_grad_enabled():
                # Derivatives of the gradients are those of the readable form.
                outputs = dense_sums(query, key, ctx.tiling.cells, attention_mask, ctx.tiling.ordered, ctx.scale)
                inputs = [x for x in (query, key) if x.requires_grad]
                grads = iter(torch.autograd.grad(outputs, inputs, (grad_sums, grad_chosen), create_graph=True))
                return *[next(grads) if x.requires_grad else None for x in (query, key)], None, None, None
            return *_backward(ctx, query, key, log_sums, iter(kept), grad_sums, grad_chosen), None, None, None


def _backward(
    ctx: Any,
    query: Tensor,
    key: Tensor,
    log_sums: Tensor,
    kept: Iterator[Tensor],
    grad_sums: Tensor,
    grad_chosen: Tensor,
) -> tuple[Tensor, Tensor]:
    grad_query, grad_key = (torch.zeros(x.shape, dtype=x.dtype, device=x.device) for x in (query, key))
    tiling, scale = ctx.tiling, ctx.scale
    for chunk, grads in zip(tiling.chunks, grad_chosen.split(tiling.counts)):
        starts, ends = (next(kept), next(kept)) if tiling.kept else (chunk.vectors(query, scale), chunk.vectors(key))
        log_sum = log_sums[chunk.rows, chunk.types].reshape(-1, 1, 1)
        factor = grad_sums[chunk.rows, chunk.types].reshape(-1, 1, 1)
        grad_starts, grad_ends = torch.zeros_like(starts), torch.zeros_like(ends)
        for tile, part in zip(chunk.tiles, grads.split([len(tile.cells[0]) for tile in chunk.tiles])):
            if tiling.kept:
                weights, peak = next(kept), next(kept)
            else:
                scores = torch.bmm(starts[:, tile.starts], ends[:, tile.ends].mT)
                weights, peak = tiling.hide(scores, chunk, tile).sub_(log_sum).exp_(), log_sum
            upper = factor * torch.exp(peak - log_sum)
            torch.bmm(weights, ends[:, tile.ends], out=grad_starts[:, tile.starts])
            grad_starts[:, tile.starts].mul_(upper)
            grad_ends[:, tile.ends].baddbmm_(weights.mT, starts[:, tile.starts] * upper)
            group, start, end = tile.cells
            if len(group):
                start, end, part = start + tile.starts.start, end + tile.ends.start, part.unsqueeze(1)
                grad_starts.index_put_((group, start), part * ends[group, end], accumulate=True)
                grad_ends.index_put_((group, end), part * starts[group, start], accumulate=True)
        chunk.store(grad_starts.mul_(scale), grad_query)
        chunk.store(grad_ends, grad_key)
    return grad_query, grad_key


def dense_sums(
    query: Tensor, key: Tensor, cells: Tensor, attention_mask: Tensor | None, ordered: bool, scale: float
) -> tuple[Tensor, Tensor]:
    """As :func:`pointer_sums` for ``cells`` ``[N, 4]``, in memory ``[B, C, L, L]``."""
    allowed = span_mask(query.shape[1], attention_mask, ordered, query.device)
    scores = pointer_scores(query * (scale * query.shape[-1] ** 0.5), key, allowed)
    places = cells.unbind(-1)
    unlabelled = scores.index_put(places, scores.new_tensor(-torch.inf))
    return log_one_plus_sum_exp(unlabelled.flatten(2)), scores[places]
