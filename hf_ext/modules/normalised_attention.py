"""Attention by other denominators in the form of the library's back ends, for :func:`hf_ext.modules.attention.attend`.

Shapes: B batch, N heads, Q queries, S keys, D head size.
"""

from typing import Any

from torch import Tensor, nn

from hf_ext.ops.normalised_attention import flex_normalised_attention, normalised_attention
from hf_ext.transformers_private import attention_implementation

BACK_ENDS = ("eager", "flex_attention")
"""The attention implementations that there are: fused kernels divide by the sum of the weights, and end there."""


def normalised_attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Any,
    scaling: float,
    dropout: float = 0.0,
    bias: Tensor | None = None,
    gain: Tensor | None = None,
    normalization: str = "softmax",
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attend by :func:`hf_ext.ops.normalised_attention.normalised_attention`, or by its twin of flex attention.

    Args:
        module: the attention layer, with ``config``.
        query: ``[B, N, Q, D]``.
        key: ``[B, N, S, D]``.
        value: ``[B, N, S, Dv]``.
        attention_mask: in the back end's form.
        scaling: factor of the scores.
        dropout: probability of dropping a weight.
        bias: ``[N, Q + S - 1]``, added to scores by the distance; or None.
        gain: ``[N, Q + S - 1]``, by which weights are multiplied by the distance; or None.
        normalization: ``"softmax"``, ``"l2"`` or ``"none"``.
        **kwargs: what other back ends take.

    Returns:
        Output ``[B, Q, N, Dv]``, and the weights ``[B, N, Q, S]`` in eager mode.

    Raises:
        ValueError: for dropout of weights under flex attention, which has none.
    """
    config: Any = module.config
    if attention_implementation(config) == "flex_attention":
        if dropout:
            raise ValueError(
                f"attention_probs_dropout_prob must be 0 to train with flex attention, which drops no weights, "
                f'got {dropout}; or take attn_implementation="eager"'
            )
        out = flex_normalised_attention(query, key, value, attention_mask, scaling, bias, gain, normalization)
        return out.transpose(1, 2), None
    out, weights = normalised_attention(query, key, value, attention_mask, scaling, dropout, bias, gain, normalization)
    return out.transpose(1, 2), weights
