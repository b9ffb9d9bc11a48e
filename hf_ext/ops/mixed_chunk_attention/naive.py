"""Mixed chunk attention written out, token by token of the definition: the readable twin of the fast path."""

import torch
from torch import Tensor


def naive_mixed_chunk_attention(
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
    """What :func:`hf_ext.ops.mixed_chunk_attention.mixed_chunk_attention` computes, in quadratic time and memory.

    Real tokens may lie anywhere in a row; chunks are counted over them alone. Outputs at padding are 0.
    """
    batch_size, length, key_size = query.shape
    real = torch.ones(batch_size, length, dtype=torch.bool) if real is None else real.bool()
    rows = []
    for row in range(batch_size):
        found = real[row].nonzero().squeeze(-1)
        q, k, lq, lk, v = (x[row, found] for x in (query, key, linear_query, linear_key, value))
        place = torch.arange(len(found))
        chunk, slot = place // chunk_size, place % chunk_size
        together = chunk[:, None] == chunk[None, :]
        seen_locally = together & (place[:, None] >= place[None, :]) if causal else together
        seen_linearly = chunk[:, None] > chunk[None, :] if causal else torch.ones_like(together)

        offset = 0.0 if bias is None else bias[slot[:, None], slot[None, :]]
        if scaling == "length":
            local = torch.relu(q @ k.T / chunk_size + offset).square()
        else:
            local = torch.relu(q @ k.T / key_size**0.5 + offset).square() / chunk_size
        linear = lq @ lk.T / seen_linearly.sum(-1, keepdim=True).clamp(min=1)
        out = (local * seen_locally + linear * seen_linearly) @ v
        rows.append(value.new_zeros(length, value.shape[-1]).index_copy(0, found, out))
    return torch.stack(rows)
