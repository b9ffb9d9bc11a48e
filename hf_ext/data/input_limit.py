"""How many tokens a model and its tokenizer take."""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedConfig, PreTrainedTokenizerBase
from transformers.tokenization_utils_base import LARGE_INTEGER

from hf_ext.modules.encoder_config import EncoderConfig

DEFAULT_LENGTH = 512
"""Tokens of a text, or of a window of one, where nobody asks for more or less."""

# They count positions from the padding token's id + 1, so that the first rows of the table are never used.
_FROM_PADDING_ID = frozenset(
    {
        "camembert",
        "data2vec-text",
        "esm",
        "ibert",
        "layoutlmv3",
        "lilt",
        "longformer",
        "luke",
        "markuplm",
        "mpnet",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
    }
)


def position_count(config: PreTrainedConfig) -> int | None:
    """Tokens that a model has positions for, or was made for; None where its config does not say.

    RoBERTa's kin count positions from behind that of the padding token, so that these rows of their table go unused.
    """
    fields: Any = config.get_text_config()
    rows = getattr(fields, "max_position_embeddings", None)
    # XLNet has -1.
    if rows is None or rows < 1:
        return None
    unused = fields.pad_token_id + 1 if fields.model_type in _FROM_PADDING_ID and fields.pad_token_id is not None else 0
    return rows - unused


def longest_input(config: PreTrainedConfig) -> int | None:
    """Tokens beyond which a model has no positions; None where positions are computed or relative, which have no end.

    Of families other than ours, positions come from a table, unless they are rotary or, as DeBERTa's, relative alone.
    """
    config = config.get_text_config()
    if isinstance(config, EncoderConfig):
        return config.longest_input
    fields: Any = config
    rotary = getattr(fields, "rope_parameters", None) or getattr(fields, "position_embedding_type", None) == "rotary"
    return None if rotary or not getattr(fields, "position_biased_input", True) else position_count(config)


def check_input_length(length: int, config: PreTrainedConfig, name: str = "max_length") -> None:
    """Refuse a length for which a model has no positions.

    Raises:
        ValueError: naming the argument, its value and the number of positions.
    """
    longest = longest_input(config)
    if longest is not None and length > longest:
        raise ValueError(f"{name} must be at most the model's {longest} positions, got {length}")


def input_limit(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig, most: int | None = DEFAULT_LENGTH) -> int:
    """Tokens of a text where nobody asks for a length: ``most``, or less if model or tokenizer are made for less.

    Args:
        tokenizer: has a ``model_max_length``, if any.
        config: the model's.
        most: None: as many as they take, and where neither has an end, those that the model was trained on.
    """
    limits = (most, tokenizer.model_max_length, position_count(config))
    # A tokenizer that was told no length has an enormous one.
    known = [limit for limit in limits if limit is not None and 0 < limit < LARGE_INTEGER]
    return min(known, default=getattr(config.get_text_config(), "max_position_embeddings", DEFAULT_LENGTH))


def count_tokens(tokenizer: PreTrainedTokenizerBase, inputs: Sequence[Sequence[str]]) -> list[int]:
    """Tokens of each text, or of each pair of texts, with the special ones, whatever the tokenizer's limit.

    Args:
        tokenizer: any.
        inputs: of one text each, or of two.
    """
    if not inputs:
        return []
    first, *second = (list(texts) for texts in zip(*inputs, strict=True))
    encoded: Any = tokenizer(first, *second, truncation=False, verbose=False, return_attention_mask=False)
    return [len(ids) for ids in encoded["input_ids"]]
