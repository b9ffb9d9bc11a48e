"""Configuration of UniVAE."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from hf_ext.modules.encoder_config import EncoderConfig
from hf_ext.modules.rotary_positions import RotaryConfig
from hf_ext.ops.von_mises_fisher import check_von_mises_fisher


@strict
class UniVAEConfig(RotaryConfig):
    """Settings of a UniVAE, a variational autoencoder in one Transformer (kexue.fm/archives/8475).

    The defaults are those of the original, over the character-vocabulary RoFormer; the other fields are those of
    :class:`EncoderConfig`. Folders of RoFormer are read too, to begin with its weights.

    Attributes:
        vocab_size: number of tokens.
        layer_norm_eps: epsilon inside the embeddings and blocks, 1e-7 in the original.
        max_position_embeddings: ``half_length``, whatever is given: a text has so many positions.
        rotary_value: False; a RoFormer that rotates values too is not read.
        num_latent_layers: number K of the last layers that are given a latent each; None: a third of all, 4 of 12 in
            the original.
        latent_size: size Z of a latent.
        latent: ``"vmf"``, a von Mises-Fisher distribution on the unit sphere; ``"gaussian"``; or ``"none"``, a vector
            as it is, which makes the model a plain autoencoder.
        kappa: concentration of the von Mises-Fisher distribution.
        latent_norm: ``"batch"`` normalises means and deviations of a Gaussian over the batch, so that it cannot forget
            the text (kexue.fm/archives/7381). None: not.
        batch_norm_tau: part of each unit's second moment that its means have at least, under ``latent_norm="batch"``.
        kl: what a Gaussian's loss adds for each text: ``"gaussian"``, its divergence to the standard normal
            distribution, or ``"geometric"``, ``|mean|^2 + |deviation - 1|^2`` (kexue.fm/archives/7725).
        kl_weight: factor of that.
        half_length: most tokens T of a text. A token of the decoder stands T places behind that of the encoder, which
            is part of what a model learns.
    """

    model_type = "univae"
    readable_types: ClassVar[tuple[str, ...]] = ("roformer", "roformer_v2")
    fixed_fields: ClassVar[dict[str, Any]] = {
        **EncoderConfig.fixed_fields,
        "position_embedding_type": "rotary",
        "rotary_value": False,
        "attention_mode": "bidirectional",
        "is_decoder": False,
        "add_cross_attention": False,
    }

    vocab_size: int = 12000
    layer_norm_eps: float = 1e-7
    rotary_value: bool = False
    num_latent_layers: int | None = None
    latent_size: int = 16
    latent: str = "vmf"
    kappa: float | int = 32.0
    latent_norm: str | None = None
    batch_norm_tau: float = 0.5
    kl: str = "gaussian"
    kl_weight: float | int = 1.0
    half_length: int = 32

    def __post_init__(self, **kwargs: Any) -> None:
        # Of a folder of RoFormer: the family has one type.
        kwargs.pop("model_type", None)
        self.max_position_embeddings = self.half_length
        if self.num_latent_layers is None:
            self.num_latent_layers = max(1, self.num_hidden_layers // 3)
        super().__post_init__(**kwargs)

    @classmethod
    def get_config_dict(cls, pretrained_model_name_or_path: Any, **kwargs: Any) -> tuple[dict[str, Any], Any]:
        """The settings of a folder, those of RoFormer under this family's type."""
        settings, unused = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        if settings.get("model_type") in cls.readable_types:
            settings["model_type"] = cls.model_type
        return settings, unused

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """The config of settings, as `transformers.PreTrainedConfig.from_dict` makes it.

        Those of a RoFormer say nothing of latents, which have to fit its layers: what is given counts from the start.
        """
        given = {name: value for name, value in kwargs.items() if name in cls.__dataclass_fields__}
        return super().from_dict({**config_dict, **given}, **kwargs)

    @property
    def latents(self) -> int:
        """``num_latent_layers``, which is a number once the config is made."""
        assert self.num_latent_layers is not None
        return self.num_latent_layers

    @property
    def first_latent_layer(self) -> int:
        """Number k of the first layer that is given a latent."""
        return self.num_hidden_layers - self.latents

    @property
    def code_size(self) -> int:
        """Numbers in the code of a text, all latents of it."""
        return self.latents * self.latent_size

    @property
    def longest_input(self) -> int | None:
        """``half_length``: what is longer would reach into the decoder's positions."""
        return self.half_length

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

    def validate_latents(self) -> None:
        """Refuse latents that cannot be, and settings that would have no effect.

        Raises:
            ValueError: naming the field, its value and what works.
        """
        choices: dict[str, tuple[Any, ...]] = {
            "latent": ("vmf", "gaussian", "none"),
            "latent_norm": (None, "batch"),
            "kl": ("gaussian", "geometric"),
        }
        for field, allowed in choices.items():
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field} must be one of {allowed}, got {getattr(self, field)!r}")
        if not 1 <= self.latents <= self.num_hidden_layers:
            raise ValueError(
                f"num_latent_layers must be in [1, num_hidden_layers={self.num_hidden_layers}], got {self.latents}"
            )
        if self.latent == "vmf":
            check_von_mises_fisher(self.latent_size, self.kappa)
        elif self.latent_size < 1:
            raise ValueError(f"latent_size must be at least 1, got {self.latent_size}")
        if self.half_length < 2:
            raise ValueError(f"half_length must be at least 2, a first and a last token, got {self.half_length}")
        if self.type_vocab_size < 2:
            raise ValueError(f"type_vocab_size must be at least 2, one for each half, got {self.type_vocab_size}")
        if not 0 < self.batch_norm_tau < 1:
            raise ValueError(f"batch_norm_tau must be in (0, 1), got {self.batch_norm_tau}")
        if self.kl_weight < 0:
            raise ValueError(f"kl_weight must be at least 0, got {self.kl_weight}")
        for field, plain in (("latent_norm", None), ("kl", "gaussian"), ("kl_weight", 1)):
            if self.latent != "gaussian" and getattr(self, field) != plain:
                raise ValueError(
                    f'{field} goes with latent="gaussian", got {getattr(self, field)!r} with {self.latent}'
                )

    def validate_rotation(self) -> None:
        """Refuse a stretched context too.

        Raises:
            ValueError: naming the setting, its value and the values that work.
        """
        super().validate_rotation()
        rope: Any = self.rope_parameters or {}
        if rope.get("rope_type", "default") != "default":
            raise ValueError(
                "rope_parameters: rope_type must be default, as half_length is part of what the model has learnt, "
                f"got {rope['rope_type']!r}"
            )
