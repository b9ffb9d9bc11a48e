"""What T5-PEGASUS says of the next token, with its keys and values as tensors.

Shapes: B batch, L tokens of the text, T tokens that are written, Y blocks of the decoder, N heads, D size of a head,
V vocabulary.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from transformers.cache_utils import EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from hf_ext.export.stacked_states import cache_of_states, stacked_states


def first_token(model: Any, inputs: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """Read a text, and score what follows the token that the decoder starts with.

    Args:
        model: T5-PEGASUS with its output matrix.
        inputs: ``input_ids`` and ``attention_mask`` ``[B, L]``, ``token`` ``[B, 1]``.

    Returns:
        The logits ``[B, V]``, keys and values of the text ``[B, Y, 2, N, L, D]``, and of the token, in which L is 1.
    """
    found = model(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        decoder_input_ids=inputs["token"],
        use_cache=True,
        return_dict=True,
    )
    cache = found.cache
    return found.logits[:, -1], stacked_states(cache.cross_attention_cache), stacked_states(cache.self_attention_cache)


def next_token(model: Any, inputs: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """Score what follows a token.

    Args:
        model: T5-PEGASUS with its output matrix.
        inputs: ``token`` ``[B, 1]``, ``attention_mask`` ``[B, L]`` of the text, ``memory`` ``[B, Y, 2, N, L, D]``, keys
            and values of it, and ``past`` ``[B, Y, 2, N, T, D]``, those of the tokens before.

    Returns:
        The logits ``[B, V]``, and keys and values of the token ``[B, Y, 2, N, 1, D]``.
    """
    memory = inputs["memory"]
    cache = EncoderDecoderCache(cache_of_states(inputs["past"]), cache_of_states(memory))
    # Of the text's vectors nothing but the number counts, where keys and values are there.
    vectors = memory.new_zeros(memory.shape[0], memory.shape[-2], model.config.d_model)
    found = model(
        attention_mask=inputs["attention_mask"],
        decoder_input_ids=inputs["token"],
        encoder_outputs=BaseModelOutput(last_hidden_state=vectors),
        cache=cache,
        use_cache=True,
        return_dict=True,
    )
    return found.logits[:, -1], stacked_states(found.cache.self_attention_cache)[..., -1:, :]
