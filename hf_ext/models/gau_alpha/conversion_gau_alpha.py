"""How the original TensorFlow release of GAU-alpha maps onto ours; read by `hf_ext.conversion`.

Original: github.com/ZhuiyiTechnology/GAU-alpha.
"""

from typing import Any

from hf_ext.models.gau_alpha.configuration_gau_alpha import GAUAlphaConfig
from hf_ext.models.gau_alpha.modeling_gau_alpha import GAUAlphaForMaskedLM

_GAU_ALPHA = (
    ("bert/embeddings/word_embeddings", "gau_alpha.embeddings.word_embeddings.weight", "identity"),
    ("bert/embeddings/token_type_embeddings", "gau_alpha.embeddings.token_type_embeddings.weight", "identity"),
    *(
        (f"GAU_alpha/encoder/layer_{{i}}/gau/{variable}", f"gau_alpha.encoder.layer.{{i}}.gau.{parameter}", transform)
        for variable, parameter, transform in (
            ("i_dense/kernel", "i_dense.weight", "transpose"),
            ("q_scaleoffset/gamma", "q_scaleoffset.weight", "identity"),
            ("k_scaleoffset/gamma", "k_scaleoffset.weight", "identity"),
            ("o_dense/kernel", "o_dense.weight", "transpose"),
        )
    ),
)

_FIELDS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "intermediate_size",
    "attention_key_size",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "max_position_embeddings",
    "type_vocab_size",
    "initializer_range",
)

FAMILIES: tuple[dict[str, Any], ...] = (
    {
        "name": "gau_alpha",
        "title": "GAU-alpha",
        "config": GAUAlphaConfig,
        "models": {"bidirectional": GAUAlphaForMaskedLM},
        "table": _GAU_ALPHA,
        "fields": {key: key for key in _FIELDS},
        "constants": {"layer_norm_eps": 1e-7},
        "token_fields": {"pad_token_id": "[PAD]", "bos_token_id": "[CLS]", "eos_token_id": "[SEP]"},
        # There is one head, whatever the file says of heads.
        "harmless": {"model_type": "gau_alpha", "num_attention_heads": ...},
        "settings": {"num_attention_heads": 1},
        "folder_words": frozenset({"gau"}),
        "vocabulary_sizes": frozenset({12000}),
    },
)
