"""The one attention body of all encoders: back end by name, padded or packed."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from hf_ext.transformers_private import attention_implementation

# Back ends that see one sequence at a time; of the others, flash attention takes all sequences of a packed row at once
# by their offsets, and flex attention a mask.
_PER_SEQUENCE = ("eager", "sdpa", "gated_attention")


def eager_attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, Tensor]:
    """Attention written out, the readable twin of the fused back ends and the one that returns weights.

    Args:
        module: the attention layer (unused but for ``training``).
        query: ``[B, N, Lq, D]``.
        key: ``[B, N, Lk, D]``.
        value: ``[B, N, Lk, D]``.
        attention_mask: additive, or bool with True where a key is seen, broadcastable to ``[B, N, Lq, Lk]``; or None.
        scaling: factor of the scores.
        dropout: probability of dropping a weight.
        **kwargs: what other back ends take.

    Returns:
        Output ``[B, Lq, N, D]`` and weights ``[B, N, Lq, Lk]``.
    """
    return attend_by_scores(module, query @ key.transpose(2, 3) * scaling, value, attention_mask, dropout)


def attend_by_scores(
    module: nn.Module, scores: Tensor, value: Tensor, attention_mask: Tensor | None, dropout: float = 0.0
) -> tuple[Tensor, Tensor]:
    """What is left of eager attention where scores are made.

    Args:
        module: the attention layer (unused but for ``training``).
        scores: ``[B, N, Lq, Lk]``.
        value: ``[B, N, Lk, D]``.
        attention_mask: as of :func:`eager_attention_forward`.
        dropout: probability of dropping a weight.

    Returns:
        Output ``[B, Lq, N, D]`` and weights ``[B, N, Lq, Lk]``, in the type of ``value``.
    """
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    elif attention_mask is not None:
        scores = scores + attention_mask
    weights = scores.softmax(dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32)).type_as(value)
    weights = nn.functional.dropout(weights, p=dropout, training=module.training)
    return (weights @ value).transpose(1, 2).contiguous(), weights


def _without_weights(*args: Any, **kwargs: Any) -> tuple[Tensor, None]:
    return eager_attention_forward(*args, **kwargs)[0], None


def supports_packing(implementation: str) -> bool:
    """Whether a back end can be given the sequences of a packed row by their lengths, without a mask."""
    return implementation in _PER_SEQUENCE or implementation.startswith("flash_attention")


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | list[Tensor] | None,
    scaling: float,
    dropout: float = 0.0,
    sequence_lengths: list[int] | None = None,
    is_causal: bool | None = None,
    function: Callable[..., tuple[Tensor, Tensor | None]] | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Run the back end that ``module.config`` names.

    Args:
        module: the attention layer, with ``config`` and ``is_causal``.
        query: ``[B, N, Lq, D]``.
        key: ``[B, N, Lk, D]``.
        value: ``[B, N, Lk, D]``.
        attention_mask: in the back end's form; for a packed row, a list with the mask of each sequence, or None.
        scaling: factor of the scores.
        dropout: probability of dropping a weight.
        sequence_lengths: lengths of the sequences of a packed row (B = 1), none of which sees another.
        is_causal: whether a back end without a mask is to run causally; None: as ``module.is_causal`` says.
        function: in place of the back end, of the same form; of a family whose attention no back end computes.
        **kwargs: passed on to the back end.

    Returns:
        Output ``[B, Lq, N, D]``, and the weights where the back end gives them.
    """
    config: Any = module.config
    implementation = attention_implementation(config)
    if is_causal is not None:
        kwargs["is_causal"] = is_causal
    implicit = attention_mask is None and (module.is_causal if is_causal is None else is_causal)
    if function is None:
        function = ALL_ATTENTION_FUNCTIONS.get_interface(implementation, eager_attention_forward)
    if implementation == "sdpa" and dropout and query.device.type == "cpu" and not implicit:
        # No fused kernel on the CPU drops weights, and what sdpa falls back to is a fifth slower than this.
        function = _without_weights
    if sequence_lengths is None or implementation not in _PER_SEQUENCE:
        return function(module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **kwargs)
    masks: Any = attention_mask or [None] * len(sequence_lengths)
    pieces = zip(*(x.split(sequence_lengths, dim=2) for x in (query, key, value)), masks)
    outputs = [function(module, *piece, scaling=scaling, dropout=dropout, **kwargs)[0] for piece in pieces]
    return torch.cat(outputs, dim=1), None
