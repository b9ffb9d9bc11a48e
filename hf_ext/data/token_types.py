"""Token types, where a tokenizer would give them to a model that has none."""

from typing import Any

from transformers import PreTrainedConfig

TOKEN_TYPES = "token_type_ids"


def leave_out_types(tokenizer: Any, config: PreTrainedConfig) -> None:
    """Have a tokenizer give no token types, now and when it is saved, if its model is made with ``type_vocab_size=0``.

    Such a model refuses them, and BERT's tokenizers give them unasked.

    Args:
        tokenizer: of the model; or what else prepares its inputs, which is left as it is.
        config: of the model.
    """
    names = getattr(tokenizer, "model_input_names", ())
    if TOKEN_TYPES in names and getattr(config, "type_vocab_size", None) == 0:
        tokenizer.model_input_names = [name for name in names if name != TOKEN_TYPES]
        # Of what it was not made with nothing is saved.
        tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names
