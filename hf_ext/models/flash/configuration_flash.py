"""Configuration of FLASH."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from hf_ext.modules.encoder_config import EncoderConfig
from hf_ext.modules.rotary_positions import RotaryConfig


@strict
class FLASHConfig(RotaryConfig):
    """Settings of FLASH, an encoder or decoder of gated attention units (arXiv 2202.10447; kexue.fm/archives/8934).

    The other fields are those of :class:`EncoderConfig`. Two units take the place of a block of attention and
    feed-forward layer, so that the defaults have the size of a base model.

    Attributes:
        num_hidden_layers: number of gated attention units.
        num_attention_heads: 1.
        intermediate_size: width I of gate and values.
        attention_key_size: width K of queries and keys, even.
        hidden_act: activation in front of the unit, and in the heads.
        attention: ``"mixed_chunk"``: quadratic in chunks, linear across them; or ``"quadratic"`` over the whole text.
        chunk_size: tokens of a chunk.
        attention_scaling: ``"length"``: ``relu(q.k / n + bias)^2`` as in the paper, or ``"key_size"``:
            ``relu(q.k / sqrt(K) + bias)^2 / n`` as in the article; n is ``chunk_size``, or the number of tokens that a
            query sees under ``attention="quadratic"``.
        attention_probs_dropout_prob: 0, as attention weights are not dropped.
        layer_norm_eps: epsilon of the norms.
        norm_type: ``"scale_norm"``, with one gain for the whole vector, or ``"layer_norm"``; in front of each unit and
            at the end.
        attention_mode: ``"bidirectional"`` or ``"causal"``. None: causal if ``is_decoder``, else bidirectional.
        rope_parameters: ``rope_theta``, and ``rope_type`` with its settings to stretch the context, which turns queries
            and keys; the relative bias of the units compares places as they are.
    """

    model_type = "flash"
    # The parts of a unit's first layer are split by meaning, which no plan of equal shares respects.
    base_model_tp_plan: ClassVar[dict[str, str] | None] = None
    fixed_fields: ClassVar[dict[str, Any]] = {
        **EncoderConfig.fixed_fields,
        "position_embedding_type": "rotary",
        "normalization": "squared_relu",
        "norm_position": "pre",
        "residual_scale": 1.0,
        "num_attention_heads": 1,
        "attention_probs_dropout_prob": 0,
        "add_cross_attention": False,
        "unpad": False,
    }

    num_hidden_layers: int = 24
    num_attention_heads: int = 1
    intermediate_size: int = 1536
    attention_key_size: int = 128
    hidden_act: str = "silu"
    attention: str = "mixed_chunk"
    chunk_size: int = 256
    attention_scaling: str = "length"
    attention_probs_dropout_prob: float | int = 0
    layer_norm_eps: float = 1e-5
    norm_type: str = "scale_norm"

    @property
    def head_size(self) -> int:
        """Size K of the one query and key head."""
        return self.attention_key_size

    def validate_choices(self) -> None:
        """Refuse names that mean nothing.

        Raises:
            ValueError: naming the field, its value and the values that work.
        """
        choices: dict[str, tuple[Any, ...]] = {
            "attention": ("mixed_chunk", "quadratic"),
            "attention_scaling": ("length", "key_size"),
            "norm_type": ("scale_norm", "layer_norm"),
            "pooler_activation": (None, "tanh", "linear"),
            "attention_mode": (None, "bidirectional", "causal"),
        }
        for field, allowed in choices.items():
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field} must be one of {allowed}, got {getattr(self, field)!r}")

    def validate_gated_attention(self) -> None:
        """Refuse sizes that cannot be built.

        Raises:
            ValueError: naming the field, its value and the values that work.
        """
        if self.attention_key_size < 2 or self.attention_key_size % 2:
            raise ValueError(f"attention_key_size must be even and positive, got {self.attention_key_size}")
        if self.type_vocab_size < 1:
            raise ValueError(f"type_vocab_size must be at least 1, got {self.type_vocab_size}")
        if self.chunk_size < 1:
            raise ValueError(f"chunk_size must be at least 1, got {self.chunk_size}")
