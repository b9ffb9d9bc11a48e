"""Attention by squared ReLU instead of softmax (arXiv 2202.10447; kexue.fm/archives/8934)."""

from typing import Any

import torch
from torch import Tensor

from hf_ext.ops.graphs import is_exported


def computing_type(dtype: torch.dtype) -> torch.dtype:
    """The type to multiply in: float16 has no room for squares and sums, bfloat16 has the range of float32."""
    return torch.float32 if dtype == torch.float16 else dtype


def squared_relu_weights(
    query: Tensor,
    key: Tensor,
    score_scale: float | Tensor,
    weight_scale: float | Tensor,
    bias: Tensor | None = None,
    visible: Tensor | None = None,
) -> Tensor:
    """``relu(q_i . k_j * score_scale + bias_ij)^2 * weight_scale``, 0 where a key is not visible.

    Nothing here depends on what other keys there are: whatever a scale counts must be visible to the query too.

    Args:
        query: ``[..., L, K]``.
        key: ``[..., S, K]``.
        score_scale: a number, or ``[..., L, 1]``.
        weight_scale: a number, or ``[..., L, 1]``.
        bias: ``[..., L, S]``.
        visible: bool ``[..., L, S]``, True where query i sees key j; None: everywhere.

    Returns:
        ``[..., L, S]`` in the type of ``query``, squared in float32 or better.
    """
    wide = torch.promote_types(query.dtype, torch.float32)
    scores = ((query * score_scale).to(query.dtype) @ key.mT).to(wide)
    if bias is not None:
        scores = scores + bias
    weights = torch.relu(scores).square() * weight_scale
    if visible is not None:
        weights = weights.masked_fill(~visible, 0.0)
    return weights.to(query.dtype)


def squared_relu_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: str = "length",
    bias: Tensor | None = None,
    visible: Tensor | None = None,
) -> Tensor:
    """Attend over the whole text, in time and memory quadratic in its length.

    With n_i the number of keys that query i sees, so that neither padding nor, in a causal model, the future tells in
    the output:

    - ``"length"``: ``sum_j relu(q_i . k_j / n_i + bias_ij)^2 v_j``, as in the paper;
    - ``"key_size"``: ``sum_j relu(q_i . k_j / sqrt(K) + bias_ij)^2 v_j / n_i``, as in the article.

    Args:
        query: ``[B, L, K]``.
        key: ``[B, S, K]``.
        value: ``[B, S, I]``.
        scaling: ``"length"`` or ``"key_size"``.
        bias: ``[B or 1, L, S]``.
        visible: bool ``[B or 1, L or 1, S]``, True where query i sees key j; None: everywhere.

    Returns:
        ``[B, L, I]`` in the type of ``value``.

    Raises:
        ValueError: if ``scaling`` is unknown.
    """
    dtype = computing_type(value.dtype)
    with torch.autocast(value.device.type, enabled=False):
        # Exported, the length is a number that the graph computes.
        count: Any = key.shape[1] if is_exported() else float(max(key.shape[1], 1))
        if visible is not None:
            count = visible.sum(-1, keepdim=True).clamp(min=1).to(torch.promote_types(dtype, torch.float32))
        score_scale, weight_scale = scales(scaling, count, key.shape[-1])
        weights = squared_relu_weights(query.to(dtype), key.to(dtype), score_scale, weight_scale, bias, visible)
        return (weights @ value.to(dtype)).to(value.dtype)


def scales(scaling: str, count: float | Tensor, key_size: int) -> tuple[float | Tensor, float | Tensor]:
    """Factors of the scores and of the weights for ``count`` keys; see :func:`squared_relu_attention`.

    Raises:
        ValueError: if ``scaling`` is unknown.
    """
    if scaling == "length":
        return 1 / count, 1.0
    if scaling == "key_size":
        return key_size**-0.5, 1 / count
    raise ValueError(f'scaling must be "length" or "key_size", got {scaling!r}')
