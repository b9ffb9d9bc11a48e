"""One vector for a text from the vectors of its tokens."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

POOLINGS = ("pooler", "cls", "mean", "pooler_dense", "first_last")
"""The model's own pooler; the first token; the mean over the real tokens; the layer of the pooler on the first token,
without what it is activated by; and the mean of two means over the real tokens, of the first block and of the last. The
articles on sentence vectors (kexue.fm/archives/8321) number the last four P1, P3, P2 and P4."""
OF_POOLER = ("pooler", "pooler_dense")
"""Those that a model without a pooler does not have."""


def text_vectors(
    outputs: Any, attention_mask: Tensor | None, pooling: str, dense: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """One vector for each text, ``[B, H]`` in float32 or better.

    Args:
        outputs: what an encoder returns: ``last_hidden_state`` ``[B, L, H]``; for ``"pooler"`` also ``pooler_output``
            ``[B, H]``; for ``"first_last"`` also ``hidden_states``, those of the embeddings first.
        attention_mask: ``[B, L]``, non-zero at real tokens; None: all are.
        pooling: one of `POOLINGS`.
        dense: for ``"pooler_dense"``, the layer of the pooler.

    Raises:
        ValueError: if the name is another, or the model has no pooler.
    """
    check_pooling(pooling)
    last = outputs.last_hidden_state
    if pooling == "pooler":
        vectors = getattr(outputs, "pooler_output", None)
        check_pooler(pooling, vectors)
        assert vectors is not None
    elif pooling == "pooler_dense":
        check_pooler(pooling, dense)
        assert dense is not None
        vectors = dense(first_token(last, attention_mask))
    elif pooling == "cls":
        vectors = first_token(last, attention_mask)
    elif pooling == "first_last":
        # A block's input stands at its number, from 0.
        first = outputs.hidden_states[1]
        vectors = (mean_of_tokens(first, attention_mask) + mean_of_tokens(last, attention_mask)) / 2
    else:
        vectors = mean_of_tokens(last, attention_mask)
    return vectors.to(torch.promote_types(vectors.dtype, torch.float32))


def check_pooling(pooling: str) -> None:
    """Raise ValueError if no pooling has that name."""
    if pooling not in POOLINGS:
        raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, got {pooling!r}")


def check_pooler(pooling: str, found: object) -> None:
    """Raise ValueError if a pooling needs what a model does not have.

    Args:
        pooling: its name.
        found: what it needs; None: there is none.
    """
    if found is None:
        others = ", ".join(name for name in POOLINGS if name not in OF_POOLER)
        raise ValueError(f"pooling must be one of {others} for a model without a pooler, got {pooling!r}")


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
