"""How the original TensorFlow releases of NEZHA map onto ours; read by `hf_ext.conversion`.

Originals: github.com/huawei-noah/Pretrained-Language-Model, github.com/ZhuiyiTechnology/WoBERT (WoNEZHA), and the
dialogue model of kexue.fm/archives/7718, which is the same under a causal mask. The table of relative positions is
in no checkpoint.
"""

from typing import Any

from hf_ext.models.bert_variables import CONFIG_FIELDS, bert_rows
from hf_ext.models.nezha.configuration_nezha import NezhaConfig
from hf_ext.models.nezha.modeling_nezha import NezhaForCausalLM, NezhaForMaskedLM, NezhaModel

FAMILIES: tuple[dict[str, Any], ...] = (
    {
        "name": "nezha",
        "title": "NEZHA or WoNEZHA",
        "table": bert_rows("nezha"),
        "pooler": "bert/pooler/",
        "optional": ("bert/pooler/", "cls/predictions/"),
        "config": NezhaConfig,
        "models": {"bidirectional": (NezhaForMaskedLM, NezhaModel), "causal": (NezhaForCausalLM, NezhaModel)},
        "fields": {key: key for key in (*CONFIG_FIELDS, "max_relative_position", "use_relative_position")},
        "constants": {"layer_norm_eps": 1e-7, "mlm_layer_norm_eps": 1e-12},
        "token_fields": {"pad_token_id": "[PAD]", "bos_token_id": "[CLS]", "eos_token_id": "[SEP]"},
        "choice_fields": {"attention_mode": "attention_mode", "pooler": "pooler_activation"},
        "harmless": {"model_type": "nezha"},
        "folder_words": frozenset({"nezha", "wonezha"}),
        "config_keys": frozenset({"use_relative_position", "max_relative_position"}),
        "vocabulary_sizes": frozenset({21128, 33586}),
    },
)
