"""Configuration of RoFormer, V1 and V2."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from hf_ext.modules.encoder_config import EncoderConfig
from hf_ext.modules.extrapolation_config import ExtrapolationConfig


@strict
class RoFormerConfig(ExtrapolationConfig):
    """Settings of a RoFormer encoder or decoder (kexue.fm/archives/8265, 8998; arXiv 2104.09864).

    The defaults are those of the word-vocabulary base model,
    [junnyu/roformer_chinese_base](https://huggingface.co/junnyu/roformer_chinese_base); the other fields are those of
    :class:`EncoderConfig` and, for texts longer than in training, :class:`ExtrapolationConfig`.
    RoFormer-V2 has ``norm_type="rms_norm"`` and ``use_bias=False``; its MLM head is then the token embedding alone.

    What Transformers' RoFormer would compute otherwise (`stock_reads`) is saved under the model type ``roformer_v2``,
    which it does not know, and read under both.

    Attributes:
        vocab_size: number of tokens.
        max_position_embeddings: length of pre-training. Inputs may be longer: positions are computed, not looked up.
        layer_norm_eps: epsilon inside the embeddings and blocks, 1e-7 in the originals.
        rotary_value: whether values are rotated too (no released model does), so that positions count and not distances
            alone.
        trainable_frequencies: whether the frequencies of the rotation are learnt, from those that ``rope_theta`` gives.
        rope_parameters: ``rope_theta``, and ``rope_type`` with its settings to stretch the context.
    """

    model_type = "roformer"
    own_type: ClassVar[str] = "roformer_v2"
    """The model type of the folders that Transformers' class would open, and compute something else."""
    readable_types: ClassVar[tuple[str, ...]] = (own_type,)
    fixed_fields: ClassVar[dict[str, Any]] = {**EncoderConfig.fixed_fields, "position_embedding_type": "rotary"}

    vocab_size: int = 50000
    max_position_embeddings: int = 1536
    layer_norm_eps: float = 1e-7
    rotary_value: bool = False
    trainable_frequencies: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        # Of a folder: the family has one type in memory.
        if kwargs.get("model_type") == self.own_type:
            del kwargs["model_type"]
        super().__post_init__(**kwargs)

    @property
    def stock_reads(self) -> bool:
        """Whether Transformers' own RoFormer computes the same from a folder with these settings."""
        rope: Any = self.rope_parameters or {}
        architectures = self.architectures or ()
        return (
            self.norm_type == "layer_norm"
            and self.use_bias
            and self.residual_scale == 1
            and self.pooler_activation is None
            and not self.trainable_frequencies
            and self.resolved_attention_mode == ("causal" if self.is_decoder else "bidirectional")
            and rope.get("rope_type", "default") == "default"
            and rope.get("rope_theta", self.default_theta) == self.default_theta
            # It generates without a mask unless it is told to be a decoder, and judges a choice by its last token.
            and ("RoFormerForCausalLM" not in architectures or self.is_decoder)
            and "RoFormerForMultipleChoice" not in architectures
            and not self.extrapolates
        )

    def to_dict(self) -> dict[str, Any]:
        """The settings as a folder has them, with the model type under which they are read right."""
        settings: dict[str, Any] = super().to_dict()
        return settings if self.stock_reads else {**settings, "model_type": self.own_type}

    @classmethod
    def get_config_dict(cls, pretrained_model_name_or_path: Any, **kwargs: Any) -> tuple[dict[str, Any], Any]:
        """The settings of a folder of either type, under the type that the family has in memory."""
        settings, unused = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        if settings.get("model_type") == cls.own_type:
            settings["model_type"] = cls.model_type
        return settings, unused

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


class RoFormerV2Config(PreTrainedConfig):
    """Stands for the model type ``roformer_v2``: whatever is made of it is a :class:`RoFormerConfig`."""

    model_type = RoFormerConfig.own_type

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        return RoFormerConfig(*args, **kwargs)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """The config of settings, as `transformers.PreTrainedConfig.from_dict` makes it."""
        return RoFormerConfig.from_dict(config_dict, **kwargs)
