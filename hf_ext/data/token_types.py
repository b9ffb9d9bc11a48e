"""Tokenizers that give no token types, for models that have none or are to see but one."""

from typing import Any

from transformers import PreTrainedTokenizerBase


def leave_out_token_types(tokenizer: PreTrainedTokenizerBase, config: Any) -> None:
    """Make a tokenizer give no ``token_type_ids``, see `drop_token_types`, if ``config`` has no types.

    Args:
        tokenizer: changed in place.
        config: of the model that it is for.
    """
    if getattr(config, "type_vocab_size", None) == 0:
        drop_token_types(tokenizer)


def drop_token_types(tokenizer: PreTrainedTokenizerBase) -> None:
    """Make a tokenizer, in place, give no ``token_type_ids``, also once it is saved and loaded."""
    names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
    tokenizer.model_input_names = tokenizer.init_kwargs["model_input_names"] = names
