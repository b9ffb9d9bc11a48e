"""How the original TensorFlow releases of SimBERT and NEZHA-GEN map onto ours; read by `hf_ext.conversion`.

Originals: github.com/ZhuiyiTechnology/simbert, and the GPT of github.com/huawei-noah/Pretrained-Language-Model, which
has neither token types nor relative positions.
"""

from typing import Any

from hf_ext.models.bert_variables import CONFIG_FIELDS, bert_rows
from hf_ext.models.unilm_bert.configuration_unilm_bert import UniLMBertConfig
from hf_ext.models.unilm_bert.modeling_unilm_bert import UniLMBertForCausalLM, UniLMBertModel

FAMILIES: tuple[dict[str, Any], ...] = (
    {
        "name": "unilm_bert",
        "title": "SimBERT or NEZHA-GEN",
        "table": (
            *bert_rows("bert"),
            ("bert/embeddings/position_embeddings", "bert.embeddings.position_embeddings.weight", "identity"),
        ),
        "pooler": "bert/pooler/",
        "optional": ("bert/pooler/", "bert/embeddings/token_type_embeddings", "cls/predictions/"),
        "absent": {"bert/embeddings/token_type_embeddings": {"type_vocab_size": 0}},
        "config": UniLMBertConfig,
        "models": dict.fromkeys(("unilm", "causal"), (UniLMBertForCausalLM, UniLMBertModel)),
        "fields": {key: key for key in CONFIG_FIELDS},
        "constants": {"layer_norm_eps": 1e-12, "mlm_layer_norm_eps": 1e-12},
        "token_fields": {"pad_token_id": "[PAD]", "bos_token_id": "[CLS]", "eos_token_id": "[SEP]"},
        "choice_fields": {"attention_mode": "attention_mode", "pooler": "pooler_activation"},
        "harmless": {"model_type": "unilm_bert"},
        "folder_words": frozenset({"simbert"}),
        "vocabulary_sizes": frozenset({13685}),
    },
)
