"""Configuration of RoFormer, V1 and V2."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers.modeling_rope_utils import RopeParameters

from hf_ext.modules.encoder_config import EncoderConfig

_ROPE_TYPES = ("default", "linear", "dynamic", "yarn", "longrope", "llama3")


@strict
class RoFormerConfig(EncoderConfig):
    """Settings of a RoFormer encoder or decoder (kexue.fm/archives/8265, 8998; arXiv 2104.09864).

    The defaults are those of the word-vocabulary base model; the other fields are those of :class:`EncoderConfig`.
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
    default_theta = 10000.0
    fixed_fields: ClassVar[dict[str, Any]] = {**EncoderConfig.fixed_fields, "position_embedding_type": "rotary"}

    vocab_size: int = 50000
    max_position_embeddings: int = 1536
    layer_norm_eps: float = 1e-7
    rotary_value: bool = False
    rope_parameters: RopeParameters | dict | None = None

    def validate_rotary(self) -> None:
        """Refuse heads that cannot be rotated and settings of the rotation that are not understood.

        Raises:
            ValueError: naming the field, its value and the values that work.
        """
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError(
                "hidden_size must be a multiple of twice num_attention_heads, so that heads have an even size to "
                f"rotate, got hidden_size={self.hidden_size} and num_attention_heads={self.num_attention_heads}"
            )
        rope: Any = self.rope_parameters or {}
        if rope.get("rope_type", "default") not in _ROPE_TYPES:
            raise ValueError(f"rope_parameters: rope_type must be one of {_ROPE_TYPES}, got {rope['rope_type']!r}")
        if rope.get("partial_rotary_factor") not in (None, 1):
            raise ValueError(
                "rope_parameters: partial_rotary_factor must be 1, as the whole of each head is rotated, "
                f"got {rope['partial_rotary_factor']}"
            )
