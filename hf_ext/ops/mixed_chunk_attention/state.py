"""Causal mixed chunk attention token after token, from a state whose size does not depend on how many there were.

Shapes: B rows, T new tokens, C chunk size, K key size, I value size.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hf_ext.ops.mixed_chunk_attention.chunked import causal_chunks
from hf_ext.ops.mixed_chunk_attention.squared_relu import computing_type, scales, squared_relu_weights
from hf_ext.ops.row_alignment import RowAlignment
from hf_ext.ops.row_state import RowState


@dataclass
class MixedChunkState(RowState):
    """What a text has left behind. Rows may be of different lengths.

    Attributes:
        total: ``[B, K, I]``, the sum of ``lk_j v_j`` over the chunks that are done, in float32 or better.
        done: ``[B]`` int64, the number of tokens in them.
        key: ``[B, C, K]``, keys of the open chunk.
        linear_key: ``[B, C, K]``, its keys for the chunks to come.
        value: ``[B, C, I]``, its values.
        filled: ``[B]`` int64, how many places of the open chunk are taken. A full one is closed when the next token
            comes.
    """

    total: Tensor
    done: Tensor
    key: Tensor
    linear_key: Tensor
    value: Tensor
    filled: Tensor

    @property
    def lengths(self) -> Tensor:
        """Number of tokens of each row, ``[B]``."""
        return self.done + self.filled


def extend_state(
    state: MixedChunkState | None,
    query: Tensor,
    key: Tensor,
    linear_query: Tensor,
    linear_key: Tensor,
    value: Tensor,
    chunk_size: int,
    real: Tensor | None = None,
    bias: Tensor | None = None,
    scaling: str = "length",
) -> tuple[Tensor, MixedChunkState]:
    """Run any number of tokens after those of a state.

    Args:
        state: of the tokens before; None: there are none.
        query: and the others: as in :func:`hf_ext.ops.mixed_chunk_attention.mixed_chunk_attention`.
        key: ``[B, T, K]``.
        linear_query: ``[B, T, K]``.
        linear_key: ``[B, T, K]``.
        value: ``[B, T, I]``.
        chunk_size: C.
        real: bool ``[B, T]``; real tokens come first in a row.
        bias: ``[C, C]``.
        scaling: ``"length"`` or ``"key_size"``.

    Returns:
        ``[B, T, I]``, and the state after them.
    """
    tokens = value.shape[1]
    if real is None:
        real = torch.ones(value.shape[:2], dtype=torch.bool, device=value.device)
    past = alignment = None
    if state is not None:
        past = state.total, state.done
        # The open chunk runs again, in front of the new tokens; what its queries give is thrown away.
        open_ = torch.arange(chunk_size, device=value.device) < state.filled[:, None]
        alignment = RowAlignment.from_mask(torch.cat((open_, real), dim=1))
        real = alignment.real
        no_query = torch.zeros_like(state.key)
        query, key, linear_query, linear_key, value = (
            alignment.align(torch.cat((before.to(new.dtype), new), dim=1))
            for before, new in (
                (no_query, query),
                (state.key, key),
                (no_query, linear_query),
                (state.linear_key, linear_key),
                (state.value, value),
            )
        )
    out, sums = causal_chunks(query, key, linear_query, linear_key, value, chunk_size, bias, scaling, past)
    if alignment is not None:
        out = alignment.restore(out, len(out))[:, -tokens:]

    length = real.sum(-1)
    last = (length - 1).clamp(min=0) // chunk_size
    rows = torch.arange(len(length), device=length.device)
    places = last[:, None] * chunk_size + torch.arange(chunk_size, device=length.device)
    places = places.clamp(max=real.shape[1] - 1)
    key, linear_key, value = (x[rows[:, None], places] for x in (key, linear_key, value))
    closed = last * chunk_size
    done = closed if state is None else state.done + closed
    return out, MixedChunkState(sums[rows, last], done, key, linear_key, value, length - closed)


def step_state(
    state: MixedChunkState,
    query: Tensor,
    key: Tensor,
    linear_query: Tensor,
    linear_key: Tensor,
    value: Tensor,
    chunk_size: int,
    real: Tensor | None = None,
    bias: Tensor | None = None,
    scaling: str = "length",
) -> tuple[Tensor, MixedChunkState]:
    """Run one token after those of a state, in time independent of how many there were.

    Without gradients the state that is given is changed and returned.

    Args:
        state: of the tokens before.
        query: and the others: as in :func:`extend_state`, with ``T = 1``.
        key: ``[B, 1, K]``.
        linear_query: ``[B, 1, K]``.
        linear_key: ``[B, 1, K]``.
        value: ``[B, 1, I]``.
        chunk_size: C.
        real: bool ``[B, 1]``; a token that is not leaves the state as it was.
        bias: ``[B, C]``, by the token's place in the open chunk of its row and each place of a key.
        scaling: ``"length"`` or ``"key_size"``.

    Returns:
        ``[B, 1, I]``, and the state after it.
    """
    dtype = computing_type(value.dtype)
    with torch.autocast(value.device.type, enabled=False):
        state = _close_full_chunks(state, chunk_size)
        keys = _write(state.key, state.filled, key)
        linear_keys = _write(state.linear_key, state.filled, linear_key)
        values = _write(state.value, state.filled, value)
        visible = torch.arange(chunk_size, device=value.device) <= state.filled[:, None]
        score_scale, weight_scale = scales(scaling, chunk_size, key.shape[-1])
        bias = None if bias is None else bias[:, None]
        weights = squared_relu_weights(
            query.to(dtype), keys.to(dtype), score_scale, weight_scale, bias, visible[:, None]
        )
        lq = linear_query.to(state.total.dtype) / state.done.clamp(min=1)[:, None, None]
        out = weights @ values.to(dtype) + (lq @ state.total).to(dtype)
        filled = state.filled + (1 if real is None else real[:, 0].long())
        return out.to(value.dtype), MixedChunkState(state.total, state.done, keys, linear_keys, values, filled)


def _write(open_places: Tensor, filled: Tensor, new: Tensor) -> Tensor:
    """Put ``new`` ``[B, 1, D]`` at the places ``filled`` ``[B]`` of ``[B, C, D]``."""
    if torch.is_grad_enabled():
        open_places = open_places.clone()
    rows = torch.arange(len(filled), device=filled.device)
    return open_places.index_put_((rows, filled), new[:, 0].to(open_places.dtype))


def _close_full_chunks(state: MixedChunkState, chunk_size: int) -> MixedChunkState:
    """Move chunks that are full from the open places to the sum."""
    full = state.filled == chunk_size
    if not bool(full.any()):
        return state
    wide = state.total.dtype
    dtype = computing_type(state.value.dtype)
    rows = full[:, None, None]
    more = (state.linear_key.to(dtype).mT @ state.value.to(dtype)).to(wide)
    return MixedChunkState(
        total=torch.where(rows, state.total + more, state.total),
        done=state.done + full * chunk_size,
        key=state.key,
        linear_key=state.linear_key,
        value=state.value,
        filled=state.filled.masked_fill(full, 0),
    )
