"""How many tokens a model and its tokenizer take."""

from typing import Any

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase


def position_count(model: PreTrainedModel) -> int | None:
    """Tokens that a model has positions for, or was trained on; None where its config does not say.

    RoBERTa's kin number the tokens from ``pad_token_id + 1`` on, so that this many rows of their table go unused.
    """
    config: Any = model.config
    count = getattr(config.get_text_config(), "max_position_embeddings", None)
    if count is None or count < 1:
        return None
    for module in model.modules():
        if hasattr(module, "create_position_ids_from_inputs_embeds"):
            table, padding = getattr(module, "position_embeddings", None), getattr(module, "padding_idx", None)
            if isinstance(table, nn.Embedding) and padding is not None:
                return table.num_embeddings - padding - 1
    return count


def has_end(model: PreTrainedModel) -> bool:
    """Whether there is no position beyond those that `position_count` tells: those of a table have an end."""
    config: Any = model.config
    fixed = getattr(config, "fixed_fields", {}).get("position_embedding_type", "absolute")
    return fixed == "absolute" and not getattr(config, "rope_parameters", None)


def input_limit(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, most: int | None = None) -> int:
    """Most tokens of an input, special ones included.

    Args:
        tokenizer: its ``model_max_length`` counts.
        model: so do its positions.
        most: and so does this, if given.
    """
    limits = (most, tokenizer.model_max_length, position_count(model))
    return min(limit for limit in limits if limit is not None and limit > 0)
