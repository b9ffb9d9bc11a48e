"""Texts with summaries to model inputs, and generated ids back to text."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

# A space between tokens says something only between two words of letters and digits.
_SPACE_OF_TOKENS = re.compile(r"(?<![0-9A-Za-z]) | (?![0-9A-Za-z])")


def encode_summaries(
    examples: Sequence[Mapping[str, str]],
    tokenizer: PreTrainedTokenizerBase,
    decoder_start_token_id: int | None,
    max_source_length: int,
    max_target_length: int,
) -> list[dict[str, list[int]]]:
    """Model inputs and ``labels`` for texts with summaries, as `transformers.DataCollatorForSeq2Seq` takes them.

    Args:
        examples: ``{"text", "summary"}``.
        tokenizer: of the model.
        decoder_start_token_id: the token that the decoder starts with. Where the tokenizer begins a text with it, as
            T5-PEGASUS' with [CLS], it is left off the labels: the model puts it before them.
        max_source_length: most tokens of a text, special tokens included; what is beyond is cut off.
        max_target_length: the same of a summary.
    """
    if not examples:
        return []
    texts, summaries = ([example[key] for example in examples] for key in ("text", "summary"))
    inputs = tokenizer(texts, truncation=True, max_length=max_source_length, return_token_type_ids=False)
    targets = tokenizer(text_target=summaries, truncation=True, max_length=max_target_length)["input_ids"]
    labels = [ids[1:] if ids[:1] == [decoder_start_token_id] else ids for ids in targets]
    return [
        {"input_ids": ids, "attention_mask": mask, "labels": own}
        for ids, mask, own in zip(inputs["input_ids"], inputs["attention_mask"], labels)
    ]


def decode_summaries(tokenizer: PreTrainedTokenizerBase, ids: Any) -> list[str]:
    """Texts of generated ids or labels ``[B, M]``, -100 among them; no special tokens, no spaces between tokens."""
    padded = np.where(np.asarray(ids) < 0, tokenizer.pad_token_id, ids)
    texts: Any = tokenizer.batch_decode(padded, skip_special_tokens=True)
    return [_SPACE_OF_TOKENS.sub("", text).strip() for text in texts]
