"""Configuration of NEZHA."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from hf_ext.modules.encoder_config import EncoderConfig


@strict
class NezhaConfig(EncoderConfig):
    """Settings of NEZHA, and of NEZHA-GPT under ``attention_mode="causal"`` (arXiv 1909.00204; kexue.fm/archives/7718).

    The defaults are those of the base model; the other fields are those of :class:`EncoderConfig`.

    Attributes:
        max_relative_position: distance M at which relative positions are clipped.
        layer_norm_eps: epsilon inside the embeddings and blocks, 1e-7 in the originals.
        use_relative_position: as files on the Hub say; nothing else is NEZHA.
    """

    model_type = "nezha"
    fixed_fields: ClassVar[dict[str, Any]] = {**EncoderConfig.fixed_fields, "position_embedding_type": "relative"}

    max_relative_position: int = 64
    layer_norm_eps: float = 1e-7
    use_relative_position: bool = True

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """The config of settings, as `EncoderConfig.from_dict` makes it.

        NEZHA of Transformers 4, and the code for Transformers 3 that it was made from, always had the original's
        pooler, and no fields to say so or what sees what.
        """
        major = str(config_dict.get("transformers_version") or "4").partition(".")[0]
        if major in ("2", "3", "4") and not {"pooler_activation", "attention_mode"} & config_dict.keys():
            config_dict = {**config_dict, "pooler_activation": "tanh"}
        return super().from_dict(config_dict, **kwargs)

    def validate_relative_positions(self) -> None:
        """Refuse what is not NEZHA.

        Raises:
            ValueError: naming the field, its value and the values that work.
        """
        if not self.use_relative_position:
            raise ValueError(
                "use_relative_position must be True in a NezhaConfig, got False: without them this is BERT"
            )
        if self.max_relative_position < 1:
            raise ValueError(f"max_relative_position must be at least 1, got {self.max_relative_position}")
        if self.head_size % 2:
            raise ValueError(
                "hidden_size must be a multiple of twice num_attention_heads, for pairs of sine and cosine, "
                f"got hidden_size={self.hidden_size} and num_attention_heads={self.num_attention_heads}"
            )
