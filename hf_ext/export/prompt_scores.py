"""What a decoder says of the token behind a prompt, and of those behind what is written, with its keys and values.

Shapes: B batch, L tokens of the prompt, padded on the left, T tokens that are written, Y blocks, N heads, D size of a
head, V vocabulary, H hidden.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hf_ext.export.stacked_states import cache_of_states, stacked_states


def first_token_of_prompt(model: Any, inputs: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """Read a prompt, and score what follows it.

    Args:
        model: a decoder with its output matrix.
        inputs: ``input_ids``, ``attention_mask`` and ``token_type_ids`` ``[B, L]``.

    Returns:
        The logits ``[B, V]``, keys and values of the prompt ``[B, Y, 2, N, L, D]``, 0 at padding, and of a model with a
        pooler the vectors ``[B, H]``.
    """
    found = model.base_model(**inputs, use_cache=True, return_dict=True)
    # At padding they are anything.
    real = (inputs["attention_mask"] != 0)[:, None, None, None, :, None]
    outputs = model.cls(found.last_hidden_state[:, -1]), stacked_states(found.cache).masked_fill(~real, 0)
    return outputs if found.pooler_output is None else (*outputs, found.pooler_output)


def next_token_of_prompt(model: Any, inputs: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """Score what follows a token.

    Args:
        model: a decoder with its output matrix.
        inputs: ``token`` and ``token_type_ids`` ``[B, 1]``, ``attention_mask`` ``[B, L]`` of the prompt, ``memory``
            ``[B, Y, 2, N, L, D]``, keys and values of it, and ``past`` ``[B, Y, 2, N, T, D]``, those of the tokens
            before.

    Returns:
        The logits ``[B, V]``, and keys and values of the token ``[B, Y, 2, N, 1, D]``.
    """
    mask, past = inputs["attention_mask"], inputs["past"]
    written = mask.new_ones(mask.shape[0], past.shape[-2] + 1)
    found = model(
        inputs["token"],
        torch.cat((mask, written), 1),
        inputs["token_type_ids"],
        cache=cache_of_states(torch.cat((inputs["memory"], past), -2)),
        use_cache=True,
        return_dict=True,
    )
    return found.logits[:, -1], stacked_states(found.cache)[..., -1:, :]
