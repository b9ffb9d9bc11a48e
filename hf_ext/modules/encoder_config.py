"""The settings that the shared blocks, the base model and the heads read, whatever the family."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from hf_ext.carried_code import ConfigWithCode


@strict
class EncoderConfig(ConfigWithCode, PreTrainedConfig):
    """Settings that all families of encoders have; a family adds its own and may change the defaults.

    Attributes:
        vocab_size: number of tokens.
        embedding_size: width of the embeddings; projected to ``hidden_size`` where they differ. None: ``hidden_size``.
        hidden_size: width H.
        num_hidden_layers: number of blocks.
        num_attention_heads: number of heads N.
        intermediate_size: width of the feed-forward layer.
        hidden_act: activation of the feed-forward layer, the MLM head and the classification head.
        hidden_dropout_prob: dropout of embeddings and sublayer outputs.
        attention_probs_dropout_prob: dropout of attention weights.
        classifier_dropout: dropout of the heads; None: ``hidden_dropout_prob``.
        max_position_embeddings: length of pre-training.
        type_vocab_size: number of token types (segments).
        initializer_range: standard deviation of new weights.
        layer_norm_eps: epsilon inside the embeddings and blocks.
        mlm_layer_norm_eps: epsilon of the MLM head's norm, 1e-12 in the originals.
        norm_type: ``"layer_norm"``, or ``"rms_norm"``: uncentred, without gain and offset.
        use_bias: whether the linear layers of the blocks have biases.
        residual_scale: factor of what a sublayer is added to, before the norm: alpha of DeepNorm
            (kexue.fm/archives/8978; arXiv 2203.00555), which `hf_ext.modules.initialize_` sets. 1 in all releases.
        pooler_activation: of the pooler on the first token, ``"tanh"`` or ``"linear"``; None: no pooler.
        attention_mode: ``"bidirectional"``, ``"causal"``, or ``"unilm"``: token type 0 is seen by all, each token of
            type 1 sees what is before it. None: causal if ``is_decoder``, else bidirectional.
        unpad: run batches that have padding packed into one row without it: the same outputs in less time. Not with a
            cache, nor where hidden states or attentions are asked for.
        pad_token_id: id of the padding token.
        bos_token_id: id of the first token of a generated text.
        eos_token_id: id that ends a generated text.
        use_cache: whether causal and UniLM models return keys and values for the next step.
        is_decoder: whether the model is a decoder.
        add_cross_attention: whether blocks attend to an encoder's output.
        tie_word_embeddings: whether the MLM head uses the token embedding.
    """

    base_model_tp_plan: ClassVar[dict[str, str] | None] = {
        # As the output matrix, which may be the same one.
        "embeddings.word_embeddings": "embedding_rowwise",
        "encoder.layer.*.attention.self.query": "colwise",
        "encoder.layer.*.attention.self.key": "colwise",
        "encoder.layer.*.attention.self.value": "colwise",
        "encoder.layer.*.attention.output.dense": "rowwise",
        "encoder.layer.*.intermediate.dense": "colwise",
        "encoder.layer.*.output.dense": "rowwise",
    }
    base_model_fsdp_plan: ClassVar[dict[Any, str]] = {"encoder.layer.*": "free_full_weight"}

    # Fields of other releases that change what is computed, and the value under which ours is right. Under any other
    # the weights would load and give numbers that mean nothing.
    fixed_fields: ClassVar[dict[str, Any]] = {
        "normalization": "softmax",
        "attention_scale": True,
        "norm_position": "post",
        "is_glu": False,
        "shared_segment_embeddings": False,
        "hierarchical_position": False,
    }
    # Other model types whose settings and weights have the same names and meaning.
    readable_types: ClassVar[tuple[str, ...]] = ()

    vocab_size: int = 21128
    embedding_size: int | None = None
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float | int = 0.1
    attention_probs_dropout_prob: float | int = 0.1
    classifier_dropout: float | int | None = None
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    mlm_layer_norm_eps: float = 1e-12
    norm_type: str = "layer_norm"
    use_bias: bool = True
    residual_scale: float | int = 1.0
    pooler_activation: str | None = None
    attention_mode: str | None = None
    unpad: bool = False
    pad_token_id: int | None = 0
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    use_cache: bool = True
    is_decoder: bool = False
    add_cross_attention: bool = False
    tie_word_embeddings: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        if self.embedding_size is None:
            self.embedding_size = self.hidden_size
        super().__post_init__(**kwargs)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """The config of settings, as `transformers.PreTrainedConfig.from_dict` makes it.

        Raises:
            ValueError: if the settings are those of another model type, whose weights would be left out.
        """
        check_model_type(cls, config_dict)
        return super().from_dict(config_dict, **kwargs)

    @property
    def head_size(self) -> int:
        """Size D of an attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def resolved_embedding_size(self) -> int:
        """``embedding_size``, or ``hidden_size`` where it is None."""
        return self.hidden_size if self.embedding_size is None else self.embedding_size

    @property
    def resolved_attention_mode(self) -> str:
        """``attention_mode``, or what ``is_decoder`` says where it is None."""
        return self.attention_mode or ("causal" if self.is_decoder else "bidirectional")

    @property
    def longest_input(self) -> int | None:
        """Tokens that there are positions for; None where positions are computed or relative, which have no end."""
        absolute = self.fixed_fields.get("position_embedding_type") == "absolute"
        return self.max_position_embeddings if absolute else None

    @property
    def bare_lm_head(self) -> bool:
        """Whether the head over the vocabulary is the token embedding alone, without a layer, a norm or a bias."""
        return self.norm_type == "rms_norm"

    def validate_choices(self) -> None:
        """Refuse names that mean nothing.

        Raises:
            ValueError: naming the field, its value and the values that work.
        """
        choices: dict[str, tuple[Any, ...]] = {
            "norm_type": ("layer_norm", "rms_norm"),
            "pooler_activation": (None, "tanh", "linear"),
            "attention_mode": (None, "bidirectional", "causal", "unilm"),
        }
        for field, allowed in choices.items():
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field} must be one of {allowed}, got {getattr(self, field)!r}")

    def validate_sizes(self) -> None:
        """Refuse sizes that do not fit together.

        Raises:
            ValueError: naming the fields and their values.
        """
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                "hidden_size must be a multiple of num_attention_heads, "
                f"got hidden_size={self.hidden_size} and num_attention_heads={self.num_attention_heads}"
            )
        if self.bare_lm_head and self.embedding_size not in (None, self.hidden_size):
            raise ValueError(
                "embedding_size must equal hidden_size where the MLM head is the token embedding alone "
                f"(norm_type={self.norm_type!r}), got embedding_size={self.embedding_size} and "
                f"hidden_size={self.hidden_size}"
            )

    def validate_residual_scale(self) -> None:
        """Refuse a factor under which nothing is left of what a sublayer is added to.

        Raises:
            ValueError: naming the field and its value.
        """
        if not self.residual_scale > 0:
            raise ValueError(f"residual_scale must be above 0, got {self.residual_scale}")

    def validate_decoder(self) -> None:
        """Refuse a decoder that sees its future, and cross attention without a decoder.

        Raises:
            ValueError: naming the field, its value and what works.
        """
        if self.is_decoder and self.attention_mode == "bidirectional":
            raise ValueError(
                'attention_mode must be "causal" or "unilm" when is_decoder is set, got "bidirectional"; leave '
                "attention_mode out to have it follow is_decoder"
            )
        if self.add_cross_attention and not self.is_decoder:
            raise ValueError("add_cross_attention needs is_decoder=True, got is_decoder=False")

    def validate_fixed_fields(self) -> None:
        """Refuse fields of other architectures.

        Raises:
            ValueError: naming the field, its value and the value that works.
        """
        check_fixed_fields(self, self.fixed_fields)


def check_model_type(config_class: type[PreTrainedConfig], settings: dict[str, Any]) -> None:
    """Refuse the settings of another model type: of its weights none would be found, and new ones made in their place.

    Args:
        config_class: the class that is to read them; its ``readable_types`` are other types that it may read.
        settings: what a ``config.json`` holds; without a model type they are taken on trust.

    Raises:
        ValueError: naming both types.
    """
    found = settings.get("model_type") or config_class.model_type
    if found not in (config_class.model_type, *getattr(config_class, "readable_types", ())):
        raise ValueError(
            f"model_type must be {config_class.model_type!r} to be read as a {config_class.__name__}, got {found!r}: "
            "open the folder with an Auto class, which finds the model that it holds"
        )


def check_fixed_fields(config: PreTrainedConfig, fixed: dict[str, Any]) -> None:
    """Refuse fields of other architectures.

    Args:
        config: settings, with fields of any name.
        fixed: the value that works for each field; one that is absent or None works too.

    Raises:
        ValueError: naming the field, its value and the value that works.
    """
    for field, value in fixed.items():
        if getattr(config, field, value) not in (value, None):
            raise ValueError(
                f"{field} must be {value!r} in a {type(config).__name__}, got {getattr(config, field)!r}: "
                "these weights belong to another architecture and would give meaningless numbers"
            )
