"""How the original TensorFlow releases of CDial-GPT map onto ours; read by `hf_ext.conversion`.

Original: github.com/bojone/CDial-GPT-tf, the weights of github.com/thu-coai/CDial-GPT.
"""

from typing import Any

from hf_ext.models.bert_variables import CONFIG_FIELDS, block_rows
from hf_ext.models.gpt_cdial.configuration_gpt_cdial import CDialGPTConfig
from hf_ext.models.gpt_cdial.modeling_gpt_cdial import CDialGPTForCausalLM

FAMILIES: tuple[dict[str, Any], ...] = (
    {
        "name": "gpt_cdial",
        "title": "CDial-GPT",
        "table": (
            ("gpt/embeddings/word_embeddings", "gpt.embeddings.word_embeddings.weight", "identity"),
            ("gpt/embeddings/position_embeddings", "gpt.embeddings.position_embeddings.weight", "identity"),
            *block_rows("gpt/transformer", "gpt.encoder"),
        ),
        "config": CDialGPTConfig,
        "models": {"causal": CDialGPTForCausalLM},
        "fields": {key: key for key in CONFIG_FIELDS if key != "type_vocab_size"},
        "constants": {"layer_norm_eps": 1e-12},
        "token_fields": {"pad_token_id": "[PAD]", "bos_token_id": "[CLS]", "eos_token_id": "[SEP]"},
        "choice_fields": {"attention_mode": "attention_mode"},
        "harmless": {"model_type": "gpt_cdial", "shared_segment_embeddings": True},
        "folder_words": frozenset({"cdial", "lccc"}),
        "config_name": "gpt_config.json",
        "checkpoint_name": "gpt_model.ckpt",
    },
)
