"""What the conversion tables of BERT and its kin have in common, as the originals name their variables alike."""

BLOCK_VARIABLES = tuple(
    (variable, parameter, "transpose" if variable.endswith("kernel") else "identity")
    for layer in (
        "attention/self/query",
        "attention/self/key",
        "attention/self/value",
        "attention/output/dense",
        "attention/output/LayerNorm",
        "intermediate/dense",
        "output/dense",
        "output/LayerNorm",
    )
    for variable, parameter in (
        ((f"{layer}/gamma", f"{layer}/weight"), (f"{layer}/beta", f"{layer}/bias"))
        if layer.endswith("LayerNorm")
        else ((f"{layer}/kernel", f"{layer}/weight"), (f"{layer}/bias", f"{layer}/bias"))
    )
)

# Keys of an original config that are fields of ours.
CONFIG_FIELDS = (
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


def block_rows(scope: str, prefix: str) -> tuple[tuple[str, str, str], ...]:
    """Rows of all blocks of a model.

    Args:
        scope: beginning of the variables' names, as ``"bert/encoder"``.
        prefix: beginning of the parameters' names, as ``"roformer.encoder"``.
    """
    return tuple(
        (f"{scope}/layer_{{i}}/{variable}", f"{prefix}.layer.{{i}}.{parameter.replace('/', '.')}", transform)
        for variable, parameter, transform in BLOCK_VARIABLES
    )


def bert_rows(prefix: str) -> tuple[tuple[str, str, str], ...]:
    """Rows of a model with BERT's blocks, pooler, head over the vocabulary, and embeddings except those of positions.

    Args:
        prefix: name of the base model within its heads, as ``"roformer"``.
    """
    return (
        ("bert/embeddings/word_embeddings", f"{prefix}.embeddings.word_embeddings.weight", "identity"),
        ("bert/embeddings/token_type_embeddings", f"{prefix}.embeddings.token_type_embeddings.weight", "identity"),
        ("bert/embeddings/LayerNorm/gamma", f"{prefix}.embeddings.LayerNorm.weight", "identity"),
        ("bert/embeddings/LayerNorm/beta", f"{prefix}.embeddings.LayerNorm.bias", "identity"),
        *block_rows("bert/encoder", f"{prefix}.encoder"),
        ("bert/pooler/dense/kernel", f"{prefix}.pooler.dense.weight", "transpose"),
        ("bert/pooler/dense/bias", f"{prefix}.pooler.dense.bias", "identity"),
        ("cls/predictions/transform/dense/kernel", "cls.predictions.transform.dense.weight", "transpose"),
        ("cls/predictions/transform/dense/bias", "cls.predictions.transform.dense.bias", "identity"),
        ("cls/predictions/transform/LayerNorm/gamma", "cls.predictions.transform.LayerNorm.weight", "identity"),
        ("cls/predictions/transform/LayerNorm/beta", "cls.predictions.transform.LayerNorm.bias", "identity"),
        ("cls/predictions/output_bias", "cls.predictions.bias", "identity"),
    )
