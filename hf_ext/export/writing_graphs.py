"""The graphs of models that write: the first reads a text and scores a token, the next scores what follows a token.

Shapes: B batch, L tokens of a text.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hf_ext.data.input_limit import longest_input
from hf_ext.export.code_scores import first_token_of_code, next_token_of_code
from hf_ext.export.graph import Graph, GraphModule
from hf_ext.export.prompt_scores import first_token_of_prompt, next_token_of_prompt
from hf_ext.export.token_scores import first_token, next_token


def summary_graphs(model: Any) -> list[Graph]:
    """Those of T5-PEGASUS."""
    names = ("input_ids", "attention_mask", "token")
    first = GraphModule(model, names, first_token)

    def texts(batch: int, length: int) -> tuple[Tensor, ...]:
        ids, mask = _texts(model, batch, length)
        return ids, mask, ids[:, :1]

    def beginnings(batch: int, length: int) -> tuple[Tensor, ...]:
        ids, mask, token = texts(batch, length)
        _, memory, past = first(ids, mask, token)
        return token, mask, memory, past.repeat_interleave(2 * length - 1, -2)

    following = GraphModule(model, ("token", "attention_mask", "memory", "past"), next_token)
    return [
        Graph("model", first, ("logits", "memory", "past"), texts),
        Graph("next", following, ("logits", "state"), beginnings),
    ]


def code_graphs(model: Any) -> list[Graph]:
    """Those of a UniVAE."""
    first = GraphModule(model, ("input_ids", "attention_mask", "token"), first_token_of_code)

    def texts(batch: int, length: int) -> tuple[Tensor, ...]:
        ids, mask = _texts(model, batch, min(length, model.config.half_length))
        return ids, mask, ids[:, :1]

    def beginnings(batch: int, length: int) -> tuple[Tensor, ...]:
        # A place for the latent, and as many tokens as leave room for one more.
        tokens = min(max(1, length - 1), model.config.half_length - 1)
        token = texts(batch, length)[2]
        _, past = first(*texts(batch, length))
        return token, torch.cat((past[..., :1, :], past[..., 1:, :].repeat_interleave(tokens, -2)), -2)

    following = GraphModule(model, ("token", "past"), next_token_of_code)
    return [
        Graph("model", first, ("logits", "past"), texts),
        Graph("next", following, ("logits", "state"), beginnings),
    ]


def prompt_graphs(model: Any) -> list[Graph]:
    """Those of a decoder, left to right or as UniLM."""
    names = ("input_ids", "attention_mask", "token_type_ids")
    first = GraphModule(model, names, first_token_of_prompt)
    pooled = ("vectors",) if getattr(model.base_model, "pooler", None) is not None else ()
    longest = longest_input(model.config)

    def prompts(batch: int, length: int) -> tuple[Tensor, ...]:
        ids, mask = _texts(model, batch, length)
        # Sources are of one type, and padded on the left.
        types = torch.zeros_like(ids) if model.config.resolved_attention_mode == "unilm" else ids % 2
        return ids, mask.flip(1), types

    def beginnings(batch: int, length: int) -> tuple[Tensor, ...]:
        # The prompt, as many tokens but one, and the one that is scored.
        length = min(length, length if longest is None else longest // 2)
        ids, mask, types = prompts(batch, length)
        memory = first(ids, mask, types)[1]
        return ids[:, -1:], 1 - types[:, :1], mask, memory, memory[..., 1:, :]

    inputs = ("token", "token_type_ids", "attention_mask", "memory", "past")
    following = GraphModule(model, inputs, next_token_of_prompt)
    return [
        Graph("model", first, ("logits", "memory", *pooled), prompts),
        Graph("next", following, ("logits", "state"), beginnings),
    ]


def _texts(model: Any, batch: int, length: int) -> tuple[Tensor, Tensor]:
    """Tokens and masks ``[B, L]``, the same each time, and the caller's random numbers as they were."""
    seeded = torch.Generator().manual_seed(0)
    ids = torch.randint(0, model.config.get_text_config().vocab_size, (batch, length), generator=seeded)
    lengths = torch.randint(1, length + 1, (batch, 1), generator=seeded)
    # One is as long as the batch is.
    lengths[0] = length
    return ids, (torch.arange(length) < lengths).long()


WRITERS: dict[str, Callable[[Any], list[Graph]]] = {
    "summary-generation": summary_graphs,
    "text-autoencoding": code_graphs,
    "paraphrase-generation": prompt_graphs,
    "dialogue-reply": prompt_graphs,
}
"""What makes the graphs of a model, by the name of its pipeline."""
