"""Tiny models of random weights, each in a folder with a tokenizer of the characters that it knows."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig

from hf_ext import build_char_tokenizer

TEXT = "林一舟写了长河，何远写了春江。"
SIZE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def saved(
    folder: Path,
    make: Callable[[Any], Any],
    texts: Iterable[str] = (TEXT,),
    length: int | None = None,
    config_class: type[Any] = BertConfig,
    **fields: Any,
) -> Path:
    """Save a model, the same for the same settings, and give its folder back.

    Args:
        folder: where to.
        make: makes it of its config: a class of models, or ``from_config`` of an Auto class.
        texts: whose characters its tokenizer knows.
        length: most tokens of a text; None: as many as there are.
        config_class: of its config.
        **fields: of its config, beside or instead of `SIZE`.
    """
    tokenizer: Any = build_char_tokenizer(texts, **({} if length is None else {"model_max_length": length}))
    torch.manual_seed(0)
    config = config_class(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **SIZE | fields)
    for part in (make(config), tokenizer):
        part.save_pretrained(folder)
    return folder
