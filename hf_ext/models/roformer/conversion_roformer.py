"""How the original TensorFlow releases of RoFormer map onto ours; read by `hf_ext.conversion`.

Originals: github.com/ZhuiyiTechnology/roformer, roformer-v2, roformer-sim. Between RoFormer, RoFormer-Sim and
RoFormer-GPT only the attention mode and the pooler's activation differ, which no file of a release states.
"""

from typing import Any

from hf_ext.models.roformer.configuration_roformer import RoFormerConfig
from hf_ext.models.roformer.modeling_roformer import RoFormerForCausalLM, RoFormerForMaskedLM

_ROFORMER = (
    ("bert/embeddings/word_embeddings", "roformer.embeddings.word_embeddings.weight", "identity"),
    ("bert/embeddings/token_type_embeddings", "roformer.embeddings.token_type_embeddings.weight", "identity"),
    ("bert/embeddings/LayerNorm/gamma", "roformer.embeddings.LayerNorm.weight", "identity"),
    ("bert/embeddings/LayerNorm/beta", "roformer.embeddings.LayerNorm.bias", "identity"),
    ("bert/encoder/embedding_hidden_mapping_in/kernel", "roformer.embeddings_project.weight", "transpose"),
    ("bert/encoder/embedding_hidden_mapping_in/bias", "roformer.embeddings_project.bias", "identity"),
    *(
        (f"bert/encoder/layer_{{i}}/{variable}", f"roformer.encoder.layer.{{i}}.{parameter}", transform)
        for variable, parameter, transform in (
            ("attention/self/query/kernel", "attention.self.query.weight", "transpose"),
            ("attention/self/query/bias", "attention.self.query.bias", "identity"),
            ("attention/self/key/kernel", "attention.self.key.weight", "transpose"),
            ("attention/self/key/bias", "attention.self.key.bias", "identity"),
            ("attention/self/value/kernel", "attention.self.value.weight", "transpose"),
            ("attention/self/value/bias", "attention.self.value.bias", "identity"),
            ("attention/output/dense/kernel", "attention.output.dense.weight", "transpose"),
            ("attention/output/dense/bias", "attention.output.dense.bias", "identity"),
            ("attention/output/LayerNorm/gamma", "attention.output.LayerNorm.weight", "identity"),
            ("attention/output/LayerNorm/beta", "attention.output.LayerNorm.bias", "identity"),
            ("intermediate/dense/kernel", "intermediate.dense.weight", "transpose"),
            ("intermediate/dense/bias", "intermediate.dense.bias", "identity"),
            ("output/dense/kernel", "output.dense.weight", "transpose"),
            ("output/dense/bias", "output.dense.bias", "identity"),
            ("output/LayerNorm/gamma", "output.LayerNorm.weight", "identity"),
            ("output/LayerNorm/beta", "output.LayerNorm.bias", "identity"),
        )
    ),
    ("bert/pooler/dense/kernel", "roformer.pooler.dense.weight", "transpose"),
    ("bert/pooler/dense/bias", "roformer.pooler.dense.bias", "identity"),
    ("cls/predictions/transform/dense/kernel", "cls.predictions.transform.dense.weight", "transpose"),
    ("cls/predictions/transform/dense/bias", "cls.predictions.transform.dense.bias", "identity"),
    ("cls/predictions/transform/LayerNorm/gamma", "cls.predictions.transform.LayerNorm.weight", "identity"),
    ("cls/predictions/transform/LayerNorm/beta", "cls.predictions.transform.LayerNorm.bias", "identity"),
    ("cls/predictions/output_bias", "cls.predictions.bias", "identity"),
)

# V2 has no biases, no parameters in its norms, no pooler, and the token embedding alone as MLM head.
_ROFORMER_V2 = tuple(
    row for row in _ROFORMER if row[0].startswith(("bert/embeddings/", "bert/encoder/layer_"))
    and not row[0].endswith(("/bias", "/beta", "/gamma"))
)  # fmt: skip

_FIELDS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "max_position_embeddings",
    "type_vocab_size",
    "initializer_range",
)

_COMMON: dict[str, Any] = {
    "config": RoFormerConfig,
    "models": {"bidirectional": RoFormerForMaskedLM, "unilm": RoFormerForCausalLM, "causal": RoFormerForCausalLM},
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
        "optional": ("bert/encoder/embedding_hidden_mapping_in/", "bert/pooler/"),
        "fields": {key: key for key in (*_FIELDS, "embedding_size")},
        "constants": {"norm_type": "layer_norm", "use_bias": True, "layer_norm_eps": 1e-7, "mlm_layer_norm_eps": 1e-12},
        **_COMMON,
    },
    {
        "name": "roformer_v2",
        "title": "RoFormer-V2",
        "table": _ROFORMER_V2,
        "fields": {key: key for key in _FIELDS},
        "constants": {"norm_type": "rms_norm", "use_bias": False, "layer_norm_eps": 1e-7},
        **_COMMON,
    },
)
