"""What a UniVAE says of the next token of a text that it writes from the text's code, with its keys and values.

Shapes: B batch, L tokens of the text, T places that a token sees, that of the latent and tokens that are written, Y
blocks, N heads, D size of a head, V vocabulary.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hf_ext.export.stacked_states import cache_of_states, stacked_states


def first_token_of_code(model: Any, inputs: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """Code a text by its means, and score what follows the token that texts begin with.

    Args:
        model: a UniVAE with its output matrix.
        inputs: ``input_ids`` and ``attention_mask`` ``[B, L]``, ``token`` ``[B, 1]``.

    Returns:
        The logits ``[B, V]``, and keys and values of the latent and the token, ``[B, Y, 2, N, 2, D]``; of blocks that
        have no latent zeros stand for it.
    """
    text = model.base_model(inputs["input_ids"], inputs["attention_mask"], sample=False, codes_only=True)
    return _scores(model, model.base_model.latents_of(text.z).flatten(1), inputs["token"], None)


def next_token_of_code(model: Any, inputs: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """Score what follows a token.

    Args:
        model: a UniVAE with its output matrix.
        inputs: ``token`` ``[B, 1]``, and ``past`` ``[B, Y, 2, N, T, D]``, keys and values of what is before.

    Returns:
        The logits ``[B, V]``, and keys and values of the token ``[B, Y, 2, N, 1, D]``.
    """
    past = inputs["past"]
    # Of the code nothing counts any more, where the keys of the latents are there.
    code = past.new_ones(past.shape[0], model.config.code_size)
    cache = cache_of_states(past, model.config.first_latent_layer)
    logits, states = _scores(model, code, inputs["token"], cache)
    return logits, states[..., -1:, :]


def _scores(model: Any, code: Tensor, token: Tensor, cache: Any) -> tuple[Tensor, Tensor]:
    found = model(z=code, decoder_input_ids=token, cache=cache, use_cache=True, return_dict=True)
    return found.logits[:, -1], stacked_states(found.cache, model.config.first_latent_layer)
