"""One vector for a text from the vectors of its tokens."""

import torch
from torch import Tensor


def first_token(hidden_states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
    """Take the first real token of each row, which is [CLS], wherever the padding is.

    Args:
        hidden_states: ``[B, L, H]``.
        attention_mask: ``[B, L]``, non-zero at real tokens; of any other shape, or None, the row begins at 0.

    Returns:
        ``[B, H]``.
    """
    if attention_mask is None or attention_mask.shape != hidden_states.shape[:2]:
        return hidden_states[:, 0]
    index = (attention_mask != 0).int().argmax(-1)
    return hidden_states[torch.arange(len(hidden_states), device=hidden_states.device), index]
