"""Small models of several kinds, in folders."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForMultipleChoice, AutoModelForSequenceClassification, BertConfig, BertModel

from hf_ext import RoFormerConfig, RoFormerForCausalLM, build_char_tokenizer
from hf_ext.tasks.reading_comprehension.head import AutoModelForReadingComprehension

SIZE: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "initializer_range": 0.4,
}
CORPUS = ["林一舟写了长河，何远写了春江。", "谁写了甲乙丙丁"]


def writer_of(tokenizer: Any) -> RoFormerForCausalLM:
    """A causal model that writes Chinese characters, one unlike the other."""
    torch.manual_seed(11)
    sizes = SIZE | {"initializer_range": 1.0, "max_position_embeddings": 64}
    model: Any = RoFormerForCausalLM(RoFormerConfig(vocab_size=len(tokenizer), attention_mode="causal", **sizes))
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    with torch.no_grad():
        never = [number for number, token in enumerate(tokens) if token < "一" and token != "[SEP]"]
        model.get_output_embeddings().bias[never] = -1e4
    return model


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models of texts by what they are for."""
    torch.manual_seed(0)
    tokenizer: Any = build_char_tokenizer(CORPUS, model_max_length=64)
    config: Any = BertConfig(vocab_size=len(tokenizer), id2label={0: "a", 1: "b", 2: "c"}, **SIZE)
    plain: Any = BertConfig(vocab_size=len(tokenizer), **SIZE)
    models: dict[str, Any] = {
        "classifier": AutoModelForSequenceClassification.from_config(config),
        "reader": AutoModelForReadingComprehension.from_config(plain, answer_head_size=8),
        "chooser": AutoModelForMultipleChoice.from_config(plain),
        "encoder": BertModel(plain),
        "writer": writer_of(tokenizer),
    }
    made = {}
    for name, model in models.items():
        made[name] = tmp_path_factory.mktemp(name)
        model.save_pretrained(made[name])
        tokenizer.save_pretrained(made[name])
    return made
