"""One vector for a text from the vectors of its tokens."""

from typing import Any

import torch
from torch import Tensor

POOLINGS = ("pooler", "cls", "mean")


def text_vectors(outputs: Any, attention_mask: Tensor | None, pooling: str) -> Tensor:
    """One vector for each text, ``[B, H]`` in float32 or better.

    Args:
        outputs: what an encoder returns: ``last_hidden_state`` ``[B, L, H]``, and ``pooler_output`` ``[B, H]``.
        attention_mask: ``[B, L]``, non-zero at real tokens; None: all are.
        pooling: ``"pooler"``, the model's own; ``"cls"``, the first token; or ``"mean"`` over the real tokens.

    Raises:
        ValueError: if the name is another, or the model has no pooler.
    """
    if pooling not in POOLINGS:
        raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, got {pooling!r}")
    if pooling == "pooler":
        vectors = getattr(outputs, "pooler_output", None)
        if vectors is None:
            raise ValueError("pooling must be 'cls' or 'mean' for a model without a pooler, got 'pooler'")
    elif pooling == "cls":
        vectors = first_token(outputs.last_hidden_state, attention_mask)
    else:
        vectors = mean_of_tokens(outputs.last_hidden_state, attention_mask)
    return vectors.to(torch.promote_types(vectors.dtype, torch.float32))


def mean_of_tokens(hidden_states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
    """Mean over the real tokens of each row, in float32 or better; 0 for a row without any.

    Args:
        hidden_states: ``[B, L, H]``.
        attention_mask: ``[B, L]``, non-zero at real tokens; None: all are.

    Returns:
        ``[B, H]``.
    """
    hidden_states = hidden_states.to(torch.promote_types(hidden_states.dtype, torch.float32))
    if attention_mask is None:
        return hidden_states.mean(1)
    weights = (attention_mask != 0).unsqueeze(-1).to(hidden_states.dtype)
    return (hidden_states * weights).sum(1) / weights.sum(1).clamp(min=1)


def first_token(hidden_states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
    """Take the first real token of each row, which is [CLS], wherever the padding is.

    Args:
        hidden_states: ``[B, L, H]``.
        attention_mask: ``[B, L]``, non-zero at real tokens, or ``[B, S]`` with the columns of a cache in front; of
            other dimensions, or None, the row begins at 0.

    Returns:
        ``[B, H]``.
    """
    if attention_mask is None or attention_mask.dim() != 2:
        return hidden_states[:, 0]
    real = attention_mask[:, -hidden_states.shape[1] :] != 0
    index = real.int().argmax(-1)[:, None, None]
    # Not by the number of each row, which a graph would keep.
    return hidden_states.gather(1, index.expand(-1, -1, hidden_states.shape[-1])).squeeze(1)


def max_of_tokens(hidden_states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
    """Largest of each number over the real tokens of each row; 0 for a row without any.

    Args:
        hidden_states: ``[B, L, H]``.
        attention_mask: ``[B, L]``, non-zero at real tokens; None: all are.

    Returns:
        ``[B, H]``.
    """
    if attention_mask is None:
        return hidden_states.amax(1)
    real = (attention_mask != 0).unsqueeze(-1)
    return hidden_states.masked_fill(~real, -torch.inf).amax(1).masked_fill(~real.any(1), 0)
