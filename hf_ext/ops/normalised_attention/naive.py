"""Attention with a choice of denominators, and numbers for distances in front of it and behind it, written out.

Sources: kexue.fm/archives/9105; arXiv 2205.13401 (URPE).
Shapes: B batch, N heads, Q queries, S keys, D head size.
"""

import torch
from torch import Tensor, nn

from hf_ext.ops.precision import at_least_float32
from hf_ext.ops.toeplitz import toeplitz_matrix

NORMALIZATIONS = ("softmax", "l2", "none")
"""What weights are divided by: their sum, the root of the sum of their squares, or nothing."""


def normalised_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    scaling: float = 1.0,
    dropout: float = 0.0,
    bias: Tensor | None = None,
    gain: Tensor | None = None,
    normalization: str = "softmax",
) -> tuple[Tensor, Tensor]:
    """Attend with weights ``gain * e^b / Z``, ``b = scaling * q.k + bias``.

    Z is the sum of ``e^b`` over the keys under ``"softmax"``, the root of the sum of ``e^2b`` under ``"l2"``, so that a
    row of weights has the length 1 and the sum 1 to sqrt(S), and 1 under ``"none"``, where weights grow without bound.
    All of this is in float32 or better. A query that sees no key gets 0.

    Args:
        query: ``[B, N, Q, D]``.
        key: ``[B, N, S, D]``.
        value: ``[B, N, S, Dv]``.
        attention_mask: additive, or bool with True where a key is seen, broadcastable to ``[B, N, Q, S]``; or None.
        scaling: factor of the scores.
        dropout: probability of dropping a weight, after the gain.
        bias: ``[N, Q + S - 1]``, added to the scores of query i and key j at ``j - i + Q - 1``; or None.
        gain: ``[N, Q + S - 1]``, by which the weights are multiplied likewise; or None.
        normalization: one of `NORMALIZATIONS`.

    Returns:
        Output ``[B, N, Q, Dv]`` and weights ``[B, N, Q, S]``, in the type of ``query``.

    Raises:
        ValueError: if ``normalization`` is another.
    """
    check_normalization(normalization)
    queries = query.shape[2]
    scores = at_least_float32(query @ key.transpose(2, 3)) * scaling
    if bias is not None:
        scores = scores + toeplitz_matrix(bias.to(scores.dtype), queries)
    seen = attention_mask
    if attention_mask is not None and attention_mask.dtype != torch.bool:
        seen = attention_mask > torch.finfo(attention_mask.dtype).min / 2
        scores = scores + attention_mask
    if seen is not None:
        scores = scores.masked_fill(~seen, torch.finfo(scores.dtype).min)
    weights = _normalised(scores, normalization)
    if seen is not None:
        # Else a query that sees nothing would get the mean of all that is hidden.
        weights = weights.masked_fill(~seen, 0)
    if gain is not None:
        weights = weights * toeplitz_matrix(gain.to(weights.dtype), queries)
    weights = nn.functional.dropout(weights, p=dropout)
    # Neither gains nor weights without a denominator are bounded, as half precision is.
    with torch.autocast(query.device.type, enabled=False):
        out = weights @ value.to(weights.dtype)
    return out.type_as(query), weights.type_as(query)


def check_normalization(normalization: str) -> None:
    """Refuse a name that means nothing.

    Raises:
        ValueError: naming the value and those that work.
    """
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"normalization must be one of {NORMALIZATIONS}, got {normalization!r}")


def _normalised(scores: Tensor, normalization: str) -> Tensor:
    if normalization == "softmax":
        return scores.softmax(-1)
    if normalization == "none":
        return scores.exp()
    # The largest of a row is 1, and so the root is 1 at least.
    weights = (scores - scores.amax(-1, keepdim=True).detach()).exp()
    return weights / weights.square().sum(-1, keepdim=True).sqrt()
