"""How the original TensorFlow releases of RoFormer map onto ours; read by `hf_ext.conversion`.

Originals: github.com/ZhuiyiTechnology/roformer, roformer-v2, roformer-sim. Between RoFormer, RoFormer-Sim and
RoFormer-GPT only the attention mode and the pooler's activation differ, which no file of a release states.
"""

from typing import Any

from hf_ext.models.bert_variables import CONFIG_FIELDS, bert_rows
from hf_ext.models.roformer.configuration_roformer import RoFormerConfig
from hf_ext.models.roformer.modeling_roformer import RoFormerForCausalLM, RoFormerForMaskedLM, RoFormerModel

_ROFORMER = (
    *bert_rows("roformer"),
    ("bert/encoder/embedding_hidden_mapping_in/kernel", "roformer.embeddings_project.weight", "transpose"),
    ("bert/encoder/embedding_hidden_mapping_in/bias", "roformer.embeddings_project.bias", "identity"),
)

# V2 has no biases, no parameters in its norms, no pooler, and the token embedding alone as MLM head.
_ROFORMER_V2 = tuple(
    row for row in _ROFORMER if row[0].startswith(("bert/embeddings/", "bert/encoder/layer_"))
    and not row[0].endswith(("/bias", "/beta", "/gamma"))
)  # fmt: skip

_COMMON: dict[str, Any] = {
    "config": RoFormerConfig,
    "models": {
        "bidirectional": (RoFormerForMaskedLM, RoFormerModel),
        "unilm": (RoFormerForCausalLM, RoFormerModel),
        "causal": (RoFormerForCausalLM, RoFormerModel),
    },
    # The originals generate from [CLS] to [SEP].
    "token_fields": {"pad_token_id": "[PAD]", "bos_token_id": "[CLS]", "eos_token_id": "[SEP]"},
    "choice_fields": {"attention_mode": "attention_mode", "pooler": "pooler_activation"},
    "harmless": {"model_type": "roformer", "rotary_value": False},
    "folder_words": frozenset({"roformer"}),
    "vocabulary_sizes": frozenset({12000, 50000}),
}

FAMILIES: tuple[dict[str, Any], ...] = (
    {
        "name": "roformer",
        "title": "RoFormer",
        "table": _ROFORMER,
        "pooler": "bert/pooler/",
        "optional": ("bert/encoder/embedding_hidden_mapping_in/", "bert/pooler/", "cls/predictions/"),
        "fields": {key: key for key in (*CONFIG_FIELDS, "embedding_size")},
        "constants": {"norm_type": "layer_norm", "use_bias": True, "layer_norm_eps": 1e-7, "mlm_layer_norm_eps": 1e-12},
        **_COMMON,
    },
    {
        "name": "roformer_v2",
        "title": "RoFormer-V2",
        "table": _ROFORMER_V2,
        "fields": {key: key for key in CONFIG_FIELDS},
        "constants": {"norm_type": "rms_norm", "use_bias": False, "layer_norm_eps": 1e-7},
        **_COMMON,
    },
)
