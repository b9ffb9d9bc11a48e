"""How the original TensorFlow release of T-TA maps onto ours; read by `hf_ext.conversion`.

Original: github.com/joongbo/tta. Its code has the id 4 of ``[MASK]`` in the queries, whatever the vocabulary says.
"""

from typing import Any

from hf_ext.models.bert_variables import CONFIG_FIELDS, bert_rows
from hf_ext.models.t_ta.configuration_t_ta import TTAConfig
from hf_ext.models.t_ta.modeling_t_ta import TTAForMaskedLM, TTAModel

FAMILIES: tuple[dict[str, Any], ...] = (
    {
        "name": "t_ta",
        "title": "T-TA",
        "table": (
            *(row for row in bert_rows("t_ta") if "token_type" not in row[0]),
            ("bert/embeddings/position_embeddings", "t_ta.embeddings.position_embeddings.weight", "identity"),
        ),
        "pooler": "bert/pooler/",
        "optional": ("bert/pooler/", "cls/predictions/"),
        "config": TTAConfig,
        "models": {"bidirectional": (TTAForMaskedLM, TTAModel)},
        "fields": {key: key for key in CONFIG_FIELDS if key != "type_vocab_size"},
        "constants": {"layer_norm_eps": 1e-12, "mlm_layer_norm_eps": 1e-12, "mask_token_id": 4},
        "token_fields": {"pad_token_id": "[PAD]", "bos_token_id": "[SOS]", "eos_token_id": "[EOS]"},
        "choice_fields": {"pooler": "pooler_activation"},
        "harmless": {"model_type": "t_ta", "vocab_file": ...},
        "settings": {"vocab_file": "vocab.txt"},
        "tokenizer_options": {
            "cls_token": "[SOS]",
            "sep_token": "[EOS]",
            "model_input_names": ["input_ids", "attention_mask"],
        },
        "folder_words": frozenset({"tta"}),
        "config_keys": frozenset({"vocab_file"}),
        "vocabulary_sizes": frozenset({29530}),
        "checkpoint_name": "model.ckpt",
    },
)
