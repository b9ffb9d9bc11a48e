"""Linear attention written out, similarity by similarity: the readable twin of the fast path."""

import torch
from torch import Tensor


def naive_linear_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    kernel: str,
    causal: bool = False,
    real: Tensor | None = None,
    omega: Tensor | None = None,
    rotation: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """What :func:`hf_ext.ops.linear_attention.linear_attention` computes, in quadratic time and memory.

    Nothing is shifted: exponentials overflow where numbers are large.
    """
    length = query.shape[-2]
    visible = torch.ones(length, length, dtype=torch.bool)
    visible = (visible.tril() if causal else visible).expand(len(query), 1, -1, -1)
    if real is not None:
        visible = visible & real[:, None, None].bool()

    if kernel == "double_softmax":
        queries = query.exp() / query.exp().sum(-1, keepdim=True)
        seen = key.exp() * (1 if real is None else real[:, None, :, None])
        keys = seen / sums_of(seen.sum(-2, keepdim=True))
        return turned(queries, rotation) @ turned(keys, rotation).mT * visible @ value
    if kernel == "cosine":
        queries, keys = (x / x.norm(dim=-1, keepdim=True) for x in (query, key))
        above = below = 1 + turned(queries, rotation) @ turned(keys, rotation).mT
    else:
        queries, keys = feature_map(query, kernel, omega), feature_map(key, kernel, omega)
        if kernel == "softmax_exp":
            queries = queries / queries.sum(-1, keepdim=True)
        above, below = turned(queries, rotation) @ turned(keys, rotation).mT, queries @ keys.mT
    return (above * visible) @ value / sums_of((below * visible).sum(-1, keepdim=True))


def sums_of(weights: Tensor) -> Tensor:
    """Sums to divide by, 1 where there is nothing to divide."""
    return torch.where(weights > 0, weights, 1.0)


def feature_map(x: Tensor, kernel: str, omega: Tensor | None) -> Tensor:
    """``[..., M]`` of ``x`` ``[..., D]``."""
    if kernel == "elu":
        return torch.nn.functional.elu(x) + 1
    if kernel == "favor":
        assert omega is not None
        x = x * x.shape[-1] ** -0.25
        return (x @ omega.T - x.square().sum(-1, keepdim=True) / 2).exp() / len(omega) ** 0.5
    return x.exp()


def turned(x: Tensor, rotation: tuple[Tensor, Tensor] | None) -> Tensor:
    """``x`` ``[B, N, L, M]`` with each pair turned by the angle whose cos and sin are ``[B or 1, L, M/2]``."""
    if rotation is None:
        return x
    cos, sin = (part[:, None] for part in rotation)
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2)
