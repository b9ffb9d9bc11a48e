"""The same attention of softmaxes alone, which flex attention computes without a table of scores.

Flex attention gives the outputs of a softmax and the logarithm of its denominator, ln sum e^b. A gain g > 0 is a bias
ln g on the scores whose softmax has another denominator, and the l2 norm of the weights is the denominator of 2 b; so
each output is one of a softmax, times a number for its query.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from hf_ext.ops.graphs import in_graph
from hf_ext.ops.normalised_attention.naive import check_normalization
from hf_ext.ops.precision import at_least_float32

ScoreMod = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
Kernel = Callable[[Tensor, Tensor, Tensor, ScoreMod, Any, float], tuple[Tensor, Tensor]]
"""Takes query, key, value, how scores are changed, the mask and ``scaling``; gives outputs and ln of denominators."""


def flex_kernel(
    query: Tensor, key: Tensor, value: Tensor, score_mod: ScoreMod, block_mask: Any, scaling: float
) -> tuple[Tensor, Tensor]:
    """Flex attention: outputs ``[B, N, Q, Dv]`` and logarithms of denominators ``[B, N, Q]``.

    On a CPU it runs as it is written, as its compiled form there has no denominators; forward alone.
    """
    from torch.nn.attention.flex_attention import AuxRequest, flex_attention

    run: Any = flex_attention if query.device.type == "cpu" or in_graph() else _compiled()
    out, aux = run(
        query,
        key,
        value,
        score_mod=score_mod,
        block_mask=block_mask,
        scale=scaling,
        return_aux=AuxRequest(lse=True),
    )
    return out, aux.lse


@cache
def _compiled() -> Any:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention)


def flex_normalised_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    block_mask: Any = None,
    scaling: float = 1.0,
    bias: Tensor | None = None,
    gain: Tensor | None = None,
    normalization: str = "softmax",
    kernel: Kernel = flex_kernel,
) -> Tensor:
    """As :func:`hf_ext.ops.normalised_attention.normalised_attention`, without dropout and without giving weights.

    Args:
        query: ``[B, N, Q, D]``.
        key: ``[B, N, S, D]``.
        value: ``[B, N, S, Dv]``.
        block_mask: flex attention's ``BlockMask``, or None.
        scaling: factor of the scores.
        bias: ``[N, Q + S - 1]``, or None.
        gain: ``[N, Q + S - 1]``, or None.
        normalization: one of ``NORMALIZATIONS``.
        kernel: gives the softmax's outputs and the logarithms of its denominators.

    Returns:
        ``[B, N, Q, Dv]``.

    Raises:
        ValueError: if ``normalization`` is another, or the mask a tensor.
    """
    check_normalization(normalization)
    if isinstance(block_mask, Tensor):
        raise ValueError(
            "attention_mask must have shape [B, L] or be a BlockMask under flex attention, "
            f"got a tensor of shape {list(block_mask.shape)}"
        )
    last = query.shape[2] - 1

    def softmax(factor: float = 1.0, more: Tensor | None = None) -> tuple[Tensor, Tensor]:
        def change(score: Tensor, batch: Tensor, head: Tensor, query_place: Tensor, key_place: Tensor) -> Tensor:
            distance = key_place - query_place + last
            if bias is not None:
                score = score + bias[head, distance]
            if factor != 1.0:
                score = score * factor
            return score if more is None else score + more[head, distance]

        out, denominator = kernel(query, key, value, change, block_mask, scaling)
        return at_least_float32(out), at_least_float32(denominator)[..., None]

    plain, total = softmax()
    if normalization == "softmax":
        norm = total
    else:
        norm = softmax(factor=2.0)[1] / 2 if normalization == "l2" else torch.zeros_like(total)
    # Of a query that sees nothing, -inf less -inf would be NaN.
    norm = norm.masked_fill(norm.isneginf(), 0)
    if gain is None:
        return (plain * (total - norm).exp()).type_as(query)
    # A gain has a logarithm where it is raised above 0, and what that adds to the output is taken off again.
    gain = at_least_float32(gain)
    low, size = gain.detach().amin(-1, keepdim=True), gain.detach().abs().amax(-1, keepdim=True)
    raised = ((size / 8).clamp(min=0.125) - low).clamp(min=0)
    out, raised_total = softmax(more=(gain + raised).log())
    out = out * (raised_total - norm).exp() - plain * raised[:, :, None] * (total - norm).exp()
    return out.type_as(query)
