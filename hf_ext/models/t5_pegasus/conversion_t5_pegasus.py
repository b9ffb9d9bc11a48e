"""How the original TensorFlow releases of T5-PEGASUS map onto ours; read by `hf_ext.conversion`.

Originals: github.com/ZhuiyiTechnology/t5-pegasus.
"""

from typing import Any

from hf_ext.models.t5_pegasus.configuration_t5_pegasus import T5PegasusConfig
from hf_ext.models.t5_pegasus.modeling_t5_pegasus import T5PegasusForConditionalGeneration
from hf_ext.models.t5_pegasus.tokenization_t5_pegasus import MODEL_INPUT_NAMES


def _attention(variable: str, parameter: str) -> tuple[tuple[str, str, str], ...]:
    return tuple((f"{variable}/{name}", f"{parameter}.{name}.weight", "transpose") for name in "qkvo")


def _stack(name: str, feed_forward: int) -> tuple[tuple[str, str, str], ...]:
    """The rows of the encoder or the decoder; ``feed_forward`` is the number of that sublayer in a block."""
    block, layer = f"{name}/block_{{i:03d}}", f"{name}.block.{{i}}.layer"
    dense = f"{block}/layer_{feed_forward:03d}/DenseReluDense", f"{layer}.{feed_forward}.DenseReluDense"
    return (
        *_attention(f"{block}/layer_000/SelfAttention", f"{layer}.0.SelfAttention"),
        # Stored [heads, buckets].
        (
            f"{name}/block_000/layer_000/SelfAttention/relative_attention_bias",
            f"{name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
            "transpose",
        ),
        *((f"{dense[0]}/{part}/kernel", f"{dense[1]}.{part}.weight", "transpose") for part in ("wi_0", "wi_1", "wo")),
        *(
            (f"{block}/layer_{i:03d}/rms_norm/scale", f"{layer}.{i}.layer_norm.weight", "identity")
            for i in range(feed_forward + 1)
        ),
        (f"{name}/rms_norm/scale", f"{name}.final_layer_norm.weight", "identity"),
    )


_TABLE = (
    ("shared/embedding", "shared.weight", "identity"),
    *_stack("encoder", 1),
    *_stack("decoder", 2),
    *_attention("decoder/block_{i:03d}/layer_001/EncDecAttention", "decoder.block.{i}.layer.1.EncDecAttention"),
    ("decoder/logits/kernel", "lm_head.weight", "transpose"),
)

FAMILIES: tuple[dict[str, Any], ...] = (
    {
        "name": "t5_pegasus",
        "title": "T5-PEGASUS",
        "table": _TABLE,
        "config": T5PegasusConfig,
        "models": {"encoder-decoder": T5PegasusForConditionalGeneration},
        "fields": {
            "vocab_size": "vocab_size",
            "hidden_size": "d_model",
            "attention_head_size": "d_kv",
            "intermediate_size": "d_ff",
            "num_hidden_layers": "num_layers",
            "num_attention_heads": "num_heads",
            "hidden_dropout_prob": "dropout_rate",
        },
        "harmless": {"hidden_act": ["gelu", "linear"], "initializer_range": ...},
        "constants": {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "layer_norm_epsilon": 1e-6},
        "token_fields": {"pad_token_id": "[PAD]", "decoder_start_token_id": "[CLS]", "eos_token_id": "[SEP]"},
        "tokenizer_options": {"model_input_names": list(MODEL_INPUT_NAMES)},
        "config_name": "config.json",
        "checkpoint_name": "model.ckpt",
        "folder_words": frozenset({"t5", "pegasus"}),
        "vocabulary_sizes": frozenset({50000}),
    },
)
