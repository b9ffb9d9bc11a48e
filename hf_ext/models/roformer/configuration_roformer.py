"""Configuration of RoFormer, V1 and V2."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.modeling_rope_utils import RopeParameters

# Fields of other releases that change what is computed. Under any value but this one the weights would load and give
# numbers that mean nothing.
_FIXED_FIELDS: dict[str, Any] = {
    "position_embedding_type": "rotary",
    "normalization": "softmax",
    "attention_scale": True,
    "norm_position": "post",
    "is_glu": False,
    "shared_segment_embeddings": False,
    "hierarchical_position": False,
}
_ROPE_TYPES = ("default", "linear", "dynamic", "yarn", "longrope", "llama3")


@strict
class RoFormerConfig(PreTrainedConfig):
    """Settings of a RoFormer encoder or decoder (kexue.fm/archives/8265, 8998; arXiv 2104.09864).

    The defaults are those of the word-vocabulary base model. RoFormer-V2 has ``norm_type="rms_norm"`` and
    ``use_bias=False``.

    Attributes:
        vocab_size: number of tokens.
        embedding_size: width of the embeddings; projected to ``hidden_size`` where they differ. None: ``hidden_size``.
        hidden_size: width H.
        num_hidden_layers: number of blocks.
        num_attention_heads: number of heads N; the head size H / N must be even.
        intermediate_size: width of the feed-forward layer.
        hidden_act: activation of the feed-forward layer, the MLM head and the classification head.
        hidden_dropout_prob: dropout of embeddings and sublayer outputs.
        attention_probs_dropout_prob: dropout of attention weights.
        classifier_dropout: dropout of the heads; None: ``hidden_dropout_prob``.
        max_position_embeddings: length of pre-training. Inputs may be longer: positions are computed, not looked up.
        type_vocab_size: number of token types (segments).
        initializer_range: standard deviation of new weights.
        layer_norm_eps: epsilon inside the embeddings and blocks, 1e-7 in the originals.
        mlm_layer_norm_eps: epsilon of the MLM head's norm, 1e-12 in the originals.
        norm_type: ``"layer_norm"``, or ``"rms_norm"``: uncentred, without gain and offset; the MLM head is then
            the token embedding alone.
        use_bias: whether the linear layers of the blocks have biases.
        pooler_activation: of the pooler on the first token, ``"tanh"`` or ``"linear"``; None: no pooler.
        attention_mode: ``"bidirectional"``, ``"causal"``, or ``"unilm"``: token type 0 is seen by all, each token of
            type 1 sees what is before it. None: causal if ``is_decoder``, else bidirectional.
        rotary_value: whether values are rotated too (no released model does). Texts padded on the left then need
            ``position_ids``, as positions count and not distances alone.
        rope_parameters: ``rope_theta``, and ``rope_type`` with its settings to stretch the context.
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

    model_type = "roformer"
    default_theta = 10000.0
    base_model_tp_plan: ClassVar[dict[str, str]] = {
        "encoder.layer.*.attention.self.query": "colwise",
        "encoder.layer.*.attention.self.key": "colwise",
        "encoder.layer.*.attention.self.value": "colwise",
        "encoder.layer.*.attention.output.dense": "rowwise",
        "encoder.layer.*.intermediate.dense": "colwise",
        "encoder.layer.*.output.dense": "rowwise",
    }
    base_model_fsdp_plan: ClassVar[dict[Any, str]] = {"encoder.layer.*": "free_full_weight"}

    vocab_size: int = 50000
    embedding_size: int | None = None
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float | int = 0.1
    attention_probs_dropout_prob: float | int = 0.1
    classifier_dropout: float | int | None = None
    max_position_embeddings: int = 1536
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-7
    mlm_layer_norm_eps: float = 1e-12
    norm_type: str = "layer_norm"
    use_bias: bool = True
    pooler_activation: str | None = None
    attention_mode: str | None = None
    rotary_value: bool = False
    rope_parameters: RopeParameters | dict | None = None
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

    def validate_architecture(self) -> None:
        """Refuse settings that cannot be built or that would silently compute something else.

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
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError(
                "hidden_size must be a multiple of twice num_attention_heads, so that heads have an even size to "
                f"rotate, got hidden_size={self.hidden_size} and num_attention_heads={self.num_attention_heads}"
            )
        if self.norm_type == "rms_norm" and self.embedding_size not in (None, self.hidden_size):
            raise ValueError(
                'embedding_size must equal hidden_size under norm_type="rms_norm", whose MLM head is the token '
                f"embedding alone, got embedding_size={self.embedding_size} and hidden_size={self.hidden_size}"
            )
        if self.is_decoder and self.attention_mode == "bidirectional":
            raise ValueError(
                'attention_mode must be "causal" or "unilm" when is_decoder is set, got "bidirectional"; leave '
                "attention_mode out to have it follow is_decoder"
            )
        if self.add_cross_attention and not self.is_decoder:
            raise ValueError("add_cross_attention needs is_decoder=True, got is_decoder=False")
        rope: Any = self.rope_parameters or {}
        if rope.get("rope_type", "default") not in _ROPE_TYPES:
            raise ValueError(f"rope_parameters: rope_type must be one of {_ROPE_TYPES}, got {rope['rope_type']!r}")
        if rope.get("partial_rotary_factor") not in (None, 1):
            raise ValueError(
                "rope_parameters: partial_rotary_factor must be 1, as the whole of each head is rotated, "
                f"got {rope['partial_rotary_factor']}"
            )
        for field, value in _FIXED_FIELDS.items():
            if getattr(self, field, value) not in (value, None):
                raise ValueError(
                    f"{field} must be {value!r} in a RoFormer config, got {getattr(self, field)!r}: "
                    "these weights belong to another architecture and would give meaningless numbers"
                )
