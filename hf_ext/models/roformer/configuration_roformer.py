"""Configuration of RoFormer, V1 and V2."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from hf_ext.modules.encoder_config import EncoderConfig
from hf_ext.modules.rotary_positions import RotaryConfig


@strict
class RoFormerConfig(RotaryConfig):
    """Settings of a RoFormer encoder or decoder (kexue.fm/archives/8265, 8998; arXiv 2104.09864).

    The defaults are those of the word-vocabulary base model,
    [junnyu/roformer_chinese_base](https://huggingface.co/junnyu/roformer_chinese_base); the other fields are those of
    :class:`EncoderConfig`.
    RoFormer-V2 has ``norm_type="rms_norm"`` and ``use_bias=False``; its MLM head is then the token embedding alone.

    Attributes:
        vocab_size: number of tokens.
        max_position_embeddings: length of pre-training. Inputs may be longer: positions are computed, not looked up.
        layer_norm_eps: epsilon inside the embeddings and blocks, 1e-7 in the originals.
        rotary_value: whether values are rotated too (no released model does), so that positions count and not distances
            alone.
        rope_parameters: ``rope_theta``, and ``rope_type`` with its settings to stretch the context.
    """

    model_type = "roformer"
    fixed_fields: ClassVar[dict[str, Any]] = {**EncoderConfig.fixed_fields, "position_embedding_type": "rotary"}

    vocab_size: int = 50000
    max_position_embeddings: int = 1536
    layer_norm_eps: float = 1e-7
    rotary_value: bool = False

    def validate_heads(self) -> None:
        """Refuse heads that cannot be rotated.

        Raises:
            ValueError: naming the fields and their values.
        """
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError(
                "hidden_size must be a multiple of twice num_attention_heads, so that heads have an even size to "
                f"rotate, got hidden_size={self.hidden_size} and num_attention_heads={self.num_attention_heads}"
            )
