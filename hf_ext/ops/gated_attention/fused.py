"""Gated attention that keeps nothing of size ``[B, L, L]``, and of the activations only their input.

The forward pass works through tiles of queries. The backward pass computes the activation, the rotations and the
attention weights of a tile again, which costs little beside the matrix products and spares two thirds of the memory.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hf_ext.ops.gated_attention.naive import Rotation, apply_mask, rotate, softmax

# Scores of one tile: on a CPU such that they stay in the cache between the products, on a GPU enough to fill it.
_CPU_TILE = 2**19
_GPU_TILE = 2**25

# From this length on the attended values are kept, below they are computed again, for less than a twentieth of the time
# of a training step.
_KEEP_ATTENDED = 512

Tile = tuple[slice, slice, slice]


def fused_gated_attention(
    projected: Tensor,
    query_scale: Tensor,
    key_scale: Tensor,
    query_rotation: Rotation,
    key_rotation: Rotation,
    mask: Tensor | None = None,
    lengths: list[int] | None = None,
    dropout: float = 0.0,
    in_triton: bool = False,
) -> Tensor:
    """As :func:`hf_ext.ops.gated_attention.gated_attention`, for ``silu``; ``in_triton``: forward in one kernel.

    Returns:
        ``[B, L, I]``.
    """
    # The products run in the type of the projection, whatever autocast would make of them.
    with torch.autocast(projected.device.type, enabled=False):
        return _GatedAttention.apply(
            projected, query_scale, key_scale, *query_rotation, *key_rotation, mask, lengths, dropout, in_triton
        )


class _GatedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        projected: Tensor,
        query_scale: Tensor,
        key_scale: Tensor,
        query_cos: Tensor,
        query_sin: Tensor,
        key_cos: Tensor,
        key_sin: Tensor,
        mask: Tensor | None,
        lengths: list[int] | None,
        dropout: float,
        in_triton: bool,
    ) -> Tensor:
        rows, length, inner = _sizes(projected, query_scale)
        ctx.lengths, ctx.dropout = lengths, dropout
        # Drawn from the CPU's generator, which gradient checkpointing puts back before it runs this again.
        ctx.seed = int(torch.randint(2**62, ())) if dropout else 0
        hidden = F.silu(projected[..., inner:])
        value, shared = hidden[..., :inner], hidden[..., inner:]
        query = rotate(shared * query_scale.to(shared.dtype), query_cos, query_sin)
        key = rotate(shared * key_scale.to(shared.dtype), key_cos, key_sin)

        keep = ctx.needs_input_grad[0] and max(lengths or [length]) >= _KEEP_ATTENDED
        if in_triton:
            from hf_ext.ops.gated_attention.triton import triton_forward

            attended, gated = triton_forward(query, key, value, projected[..., :inner], mask, lengths)
            tiles: Iterator[Tile] = iter(())
        else:
            attended = projected.new_empty(rows, length, inner)
            gated = torch.empty_like(attended) if keep else attended
            tiles = _tiles(rows, length, lengths, projected.device)
        weights = _Weights(query, key, mask, dropout, ctx.seed)
        for tile in tiles:
            row, queries, keys = tile
            probabilities, kept = weights(tile)
            dropped = probabilities if kept is None else probabilities.mul_(kept)
            torch.bmm(dropped, value[row, keys], out=attended[row, queries])
            gate = F.silu(projected[row, queries, :inner])
            torch.mul(attended[row, queries], gate, out=gated[row, queries])
        ctx.save_for_backward(
            projected,
            query_scale,
            key_scale,
            query_cos,
            query_sin,
            key_cos,
            key_sin,
            mask,
            attended if keep else None,
        )
        return gated

    @staticmethod
    def backward(ctx: Any, grad_gated: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "gated_attention has gradients of first order only, but they were asked for with create_graph=True; "
                'take naive_gated_attention, or attn_implementation="eager" for a model'
            )
        with torch.autocast(grad_gated.device.type, enabled=False):
            return *_backward(ctx, grad_gated), *[None] * 8


def _backward(ctx: Any, grad_gated: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the projection and of both scales."""
    projected, query_scale, key_scale, query_cos, query_sin, key_cos, key_sin, mask, attended = ctx.saved_tensors
    rows, length, inner = _sizes(projected, query_scale)
    hidden = F.silu(projected[..., inner:])
    value, shared = hidden[..., :inner], hidden[..., inner:]
    query = rotate(shared * query_scale.to(shared.dtype), query_cos, query_sin)
    key = rotate(shared * key_scale.to(shared.dtype), key_cos, key_sin)

    # Of the activation's output first, gate, value and shared vector side by side.
    grad = torch.empty_like(projected)
    grad_value = grad[..., inner : 2 * inner]
    grad_query, grad_key = torch.empty_like(query), torch.empty_like(key)
    weights = _Weights(query, key, mask, ctx.dropout, ctx.seed)
    for tile in _tiles(rows, length, ctx.lengths, projected.device):
        row, queries, keys = tile
        probabilities, kept = weights(tile)
        dropped = probabilities if kept is None else probabilities * kept
        values, upper = value[row, keys], grad_gated[row, queries]
        tile_attended = torch.bmm(dropped, values) if attended is None else attended[row, queries]
        torch.mul(upper, tile_attended, out=grad[row, queries, :inner])
        grad_attended = F.silu(projected[row, queries, :inner]).mul_(upper)
        # The first queries that see these keys write, the others add.
        beta = int(queries.start != keys.start)
        grad_value[row, keys].baddbmm_(dropped.mT, grad_attended, beta=beta)
        grad_weights = torch.bmm(grad_attended, values.mT)
        if kept is not None:
            grad_weights.mul_(kept)
        grad_scores = _softmax_backward(grad_weights, probabilities)
        torch.bmm(grad_scores, key[row, keys], out=grad_query[row, queries])
        grad_key[row, keys].baddbmm_(grad_scores.mT, query[row, queries], beta=beta)

    # The inverse of a rotation turns the other way.
    grad_query, grad_key = rotate(grad_query, query_cos, -query_sin), rotate(grad_key, key_cos, -key_sin)
    torch.add(grad_query * query_scale.to(grad.dtype), grad_key * key_scale.to(grad.dtype), out=grad[..., 2 * inner :])
    grad_query_scale = (grad_query * shared).sum((0, 1)).to(query_scale.dtype)
    grad_key_scale = (grad_key * shared).sum((0, 1)).to(key_scale.dtype)
    torch.ops.aten.silu_backward.grad_input(grad, projected, grad_input=grad)
    return grad, grad_query_scale, grad_key_scale


class _Weights:
    """The attention weights of one tile after the other, the same each time the tiles are gone through."""

    def __init__(self, query: Tensor, key: Tensor, mask: Tensor | None, dropout: float, seed: int):
        rows, length, _ = query.shape
        self.query, self.key, self.dropout = query, key, dropout
        self.mask = None if mask is None else mask.expand(rows, 1, length, length)[:, 0]
        self.generator = torch.Generator(query.device).manual_seed(seed) if dropout else None

    def __call__(self, tile: Tile) -> tuple[Tensor, Tensor | None]:
        """Weights ``[b, q, k]`` of a tile, and what dropout multiplies them by."""
        row, queries, keys = tile
        scores = torch.bmm(self.query[row, queries], self.key[row, keys].mT)
        if self.mask is not None:
            scores = apply_mask(scores, self.mask[row, queries, keys])
        weights = softmax(scores)
        if self.generator is None:
            return weights, None
        kept = torch.empty_like(weights).bernoulli_(1 - self.dropout, generator=self.generator)
        return weights, kept.div_(1 - self.dropout)


def _softmax_backward(grad: Tensor, weights: Tensor) -> Tensor:
    wide = torch.promote_types(weights.dtype, torch.float32)
    grad, weights_ = grad.to(wide), weights.to(wide)
    return (weights_ * (grad - (grad * weights_).sum(-1, keepdim=True))).to(weights.dtype)


def _sizes(projected: Tensor, scale: Tensor) -> tuple[int, int, int]:
    rows, length, width = projected.shape
    return rows, length, (width - scale.shape[0]) // 2


def _tiles(rows: int, length: int, lengths: list[int] | None, device: torch.device) -> Iterator[Tile]:
    """Slices of rows, of their queries, and of the keys that these see, so that the scores of a tile are few."""
    budget = _CPU_TILE if device.type == "cpu" else _GPU_TILE
    if lengths is None:
        several = max(1, budget // length**2)
        spans = [(slice(first, min(first + several, rows)), 0, length) for first in range(0, rows, several)]
    else:
        ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
        spans = [(slice(0, 1), end - size, end) for size, end in zip(lengths, ends)]
    for row, start, end in spans:
        step = max(1, budget // (end - start))
        for first in range(start, end, step):
            yield row, slice(first, min(first + step, end)), slice(start, end)
