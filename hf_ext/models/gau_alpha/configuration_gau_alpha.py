"""Configuration of GAU-alpha."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from hf_ext.modules.extrapolation_config import ExtrapolationConfig


@strict
class GAUAlphaConfig(ExtrapolationConfig):
    """Settings of a GAU-alpha encoder (kexue.fm/archives/9052; arXiv 2205.05842).

    The defaults are those of the released base model; the other fields are those of :class:`EncoderConfig` and,
    for texts longer than in training, :class:`ExtrapolationConfig`, but for those of decoders and of HWFA. A block is
    one gated attention unit, with a single head and without a feed-forward layer.

    Attributes:
        vocab_size: number of tokens.
        num_hidden_layers: number of blocks; two take the place of one block of BERT.
        num_attention_heads: without meaning here, as there is one head.
        intermediate_size: width I of gate and values.
        attention_key_size: size K of queries and keys, even.
        hidden_act: activation of the unit and of the classification head; only ``"swish"`` runs in the fused form.
        layer_norm_eps: epsilon of all norms, 1e-7 in the original.
        normalization: of the attention weights: ``"softmax_plus"``, whose scores grow with the logarithm of the number
            of keys (kexue.fm/archives/8823), or ``"softmax"``.
        softmax_plus_min_keys: rows with fewer keys count as having this many under ``"softmax_plus"``. 16 is the rule
            of the original's present code; the release was trained, and is reproduced, with 1. They differ for texts
            of less than 16 tokens.
        attention_normalization: what weights are divided by: ``"softmax"``, their sum; or ``"l2"``, the root of the sum
            of their squares, so that equal tokens are told apart by their places (kexue.fm/archives/9105). Under
            ``"l2"`` attention runs eagerly or by flex attention.
        attention_scale: whether scores are divided by the root of ``attention_key_size``.
        rope_parameters: ``rope_theta``, and ``rope_type`` with its settings to stretch the context.
    """

    model_type = "gau_alpha"
    # The halves of a unit's first layer are split by meaning, which no plan of equal shares respects.
    base_model_tp_plan: ClassVar[dict[str, str] | None] = None
    fixed_fields: ClassVar[dict[str, Any]] = {
        "norm_type": "rms_norm",
        "use_bias": False,
        "attention_mode": "bidirectional",
        "is_decoder": False,
        "add_cross_attention": False,
        "position_embedding_type": "rotary",
        "rotary_value": False,
        "position_bias": None,
        "full_attention_layers": None,
        "full_attention_positions": False,
        "self_attention": True,
        "norm_position": "post",
        "residual_scale": 1.0,
        "is_glu": False,
        "shared_segment_embeddings": False,
        "hierarchical_position": False,
    }

    vocab_size: int = 12000
    num_hidden_layers: int = 24
    num_attention_heads: int = 1
    intermediate_size: int = 1536
    attention_key_size: int = 128
    hidden_act: str = "swish"
    layer_norm_eps: float = 1e-7
    norm_type: str = "rms_norm"
    use_bias: bool = False
    normalization: str = "softmax_plus"
    softmax_plus_min_keys: int = 16
    attention_normalization: str = "softmax"
    attention_scale: bool = True

    @property
    def head_size(self) -> int:
        """Size K of the one query and key head."""
        return self.attention_key_size

    def validate_gated_attention(self) -> None:
        """Refuse settings of the unit that cannot be built or are not understood.

        Raises:
            ValueError: naming the field, its value and the values that work.
        """
        if self.normalization not in ("softmax_plus", "softmax"):
            raise ValueError(f'normalization must be "softmax_plus" or "softmax", got {self.normalization!r}')
        if self.attention_normalization not in ("softmax", "l2"):
            raise ValueError(f'attention_normalization must be "softmax" or "l2", got {self.attention_normalization!r}')
        if self.softmax_plus_min_keys < 1:
            raise ValueError(f"softmax_plus_min_keys must be at least 1, got {self.softmax_plus_min_keys}")
        if self.attention_key_size < 2 or self.attention_key_size % 2:
            raise ValueError(
                "attention_key_size must be even and positive, so that pairs can be rotated, "
                f"got {self.attention_key_size}"
            )
