"""Causal linear attention token after token, from a state whose size does not depend on how many there were.

Shapes: B rows, N heads, T new tokens, D key size, M features, E value size.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hf_ext.ops.linear_attention.chunked import CHUNK_SIZE, causal_chunks, divide
from hf_ext.ops.linear_attention.kernels import CosSin, Features, check_kernel, make_features
from hf_ext.ops.precision import at_least_float32
from hf_ext.ops.row_state import RowState


@dataclass
class LinearAttentionState(RowState):
    """What a text has left behind, in float32 or better. Rows may be of different lengths.

    Attributes:
        total: ``[B, N, M, E]``, the sum of ``psi(k_j) v_j``, rotated where keys are.
        norm: ``[B, N, M]``, the sum of ``psi(k_j)``.
        shift: ``[B, N, M]``, what has been taken from the logarithms of the keys; see :class:`Features`.
        lengths: ``[B]`` int64, number of real tokens.
    """

    total: Tensor
    norm: Tensor
    shift: Tensor
    lengths: Tensor


def extend_state(
    state: LinearAttentionState | None,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    kernel: str = "exp",
    real: Tensor | None = None,
    omega: Tensor | None = None,
    rotation: CosSin | None = None,
    chunk_size: int = CHUNK_SIZE,
) -> tuple[Tensor, LinearAttentionState]:
    """Run any number of tokens after those of a state; one in a time that does not depend on how many there were.

    Without gradients a step of one token changes the state that is given.

    Args:
        state: of the tokens before; None: there are none.
        query: ``[B, N, T, D]`` and the others: as in :func:`hf_ext.ops.linear_attention.linear_attention`.
        key: ``[B, N, T, D]``.
        value: ``[B, N, T, E]``.
        kernel: one with a causal form.
        real: bool ``[B, T]``; a token that is not leaves the state as it was.
        omega: ``[M, D]``, the same at each call.
        rotation: cos and sin ``[B or 1, T, M/2]``.
        chunk_size: of more tokens than one.

    Returns:
        ``[B, N, T, E]``, and the state after them.

    Raises:
        ValueError: if the kernel is unknown, has no causal form, or ``omega`` does not fit it.
    """
    check_kernel(kernel, True, omega, query.shape[-1])
    with torch.autocast(value.device.type, enabled=False):
        before = None if state is None else (state.shift, state.lengths > 0)
        features = make_features(query, key, kernel, True, real, omega, rotation, before)
        wide = at_least_float32(value)
        if state is not None and value.shape[2] == 1:
            out, total, norm = _step(state, features, wide)
        else:
            past = None if state is None else (state.total, state.norm)
            out, total, norm = causal_chunks(features, wide, chunk_size, past)
        lengths = key.new_full((len(key),), key.shape[2], dtype=torch.long) if real is None else real.sum(-1)
        if state is not None:
            lengths = state.lengths + lengths
        return out.to(value.dtype), LinearAttentionState(total, norm, features.shift, lengths)


def _step(state: LinearAttentionState, features: Features, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Output ``[B, N, 1, E]`` of one token, and the sums with it."""
    total, norm = state.total, state.norm
    if torch.is_grad_enabled():
        total, norm = total.clone(), norm.clone()
    total.addcmul_(features.turned_key.mT, value)
    norm.add_(features.key[:, :, 0])
    return divide(features.turned_query @ total, features.query @ norm[..., None]), total, norm
