"""Configuration of the vision transformer with rotary positions."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from hf_ext.carried_code import ConfigWithCode
from hf_ext.modules.encoder_config import EncoderConfig, check_fixed_fields, check_model_type
from hf_ext.ops.rotary_2d import AXES

_THETA = {"axial": 10000.0, "mixed": 10.0, "flat": 10000.0}


@strict
class RoPEViTConfig(ConfigWithCode, PreTrainedConfig):
    """Settings of a vision transformer whose patches are told apart by rotation (kexue.fm/archives/8397; 2403.13298).

    The body is that of DeiT-III, as in rope-vit, whose weights load; the defaults are its base model, with the
    article's rotation.

    Attributes:
        hidden_size: width H.
        num_hidden_layers: number of blocks.
        num_attention_heads: number of heads N; the size of a head is a multiple of 4.
        intermediate_size: width of the feed-forward layer.
        hidden_act: activation of the feed-forward layer.
        hidden_dropout_prob: dropout of embeddings and sublayer outputs.
        attention_probs_dropout_prob: dropout of attention weights.
        initializer_range: standard deviation of new weights.
        layer_norm_eps: epsilon of the norms.
        qkv_bias: whether queries, keys and values have biases.
        layer_scale_init_value: what the factors of the sublayers' outputs begin with.
        image_size: side of the images of pre-training in pixels, or height and width; a multiple of ``patch_size``. The
            model takes others.
        patch_size: side of a patch in pixels.
        num_channels: of an image.
        rope_kind: ``"axial"``: one half of each head turns with the row and the other with the column; ``"mixed"``:
            each pair in a direction that is learnt; ``"flat"``: by the number of the patch, as in a text; or
            ``"none"``.
        rope_theta: base of the frequencies, of ``"mixed"`` those it begins with. None: 10000, of ``"mixed"`` 10.
        first_axis: what turns the first half under ``"axial"``, ``"row"`` or ``"column"``; None: ``"row"``.
        coordinates: ``"grid"``: whole numbers, which go on in a larger image; ``"scaled"``: shrunk to the grid of
            ``image_size``, as in EVA-02.
        use_ape: whether patches also have a learnt vector of their place, resized for other images.
    """

    model_type = "rope_vit"
    base_model_fsdp_plan: ClassVar[dict[Any, str]] = {"blocks.*": "free_full_weight"}
    # Fields of other vision transformers that change what is computed, and the value under which ours is right.
    fixed_fields: ClassVar[dict[str, Any]] = {
        **EncoderConfig.fixed_fields,
        "position_embedding_type": "rotary",
        "norm_position": "pre",
        "residual_scale": 1.0,
        "num_register_tokens": 0,
        "use_gated_mlp": False,
        "use_swiglu_ffn": False,
        "key_bias": True,
        "proj_bias": True,
        "mlp_bias": True,
        "query_bias": True,
        "value_bias": True,
        "use_mean_pooling": False,
    }

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float | int = 0.0
    attention_probs_dropout_prob: float | int = 0.0
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-6
    qkv_bias: bool = True
    layer_scale_init_value: float = 1e-4
    image_size: int | list[int] | tuple[int, int] = 224
    patch_size: int = 16
    num_channels: int = 3
    rope_kind: str = "axial"
    rope_theta: float | int | None = None
    first_axis: str | None = None
    coordinates: str = "grid"
    use_ape: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        if self.rope_theta is None:
            self.rope_theta = _THETA.get(self.rope_kind)
        if self.first_axis is None and self.rope_kind == "axial":
            self.first_axis = "row"
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
    def image_shape(self) -> tuple[int, int]:
        """Height and width of the images of pre-training, in pixels."""
        size = self.image_size
        return (size, size) if isinstance(size, int) else (size[0], size[1])

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the patches of pre-training."""
        height, width = self.image_shape
        return height // self.patch_size, width // self.patch_size

    def validate_choices(self) -> None:
        """Refuse names that mean nothing.

        Raises:
            ValueError: naming the field, its value and the values that work.
        """
        choices: dict[str, tuple[Any, ...]] = {
            "rope_kind": ("axial", "mixed", "flat", "none"),
            "first_axis": (None, *AXES),
            "coordinates": ("grid", "scaled"),
        }
        for field, allowed in choices.items():
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field} must be one of {allowed}, got {getattr(self, field)!r}")

    def validate_rotation(self) -> None:
        """Refuse settings of the rotation that have no effect, or that it cannot be made with.

        Raises:
            ValueError: naming the field, its value and what works.
        """
        kind = self.rope_kind
        if kind != "axial" and self.first_axis is not None:
            raise ValueError(f'first_axis goes with rope_kind="axial", got {self.first_axis!r} with {kind!r}')
        if kind not in ("axial", "mixed") and self.coordinates != "grid":
            raise ValueError(f'coordinates must be "grid" with rope_kind={kind!r}, got {self.coordinates!r}')
        if kind == "none" and self.rope_theta is not None:
            raise ValueError(f'rope_theta has no effect with rope_kind="none", got {self.rope_theta}')
        if self.rope_theta is not None and not self.rope_theta > 0:
            raise ValueError(f"rope_theta must be positive, got {self.rope_theta}")

    def validate_sizes(self) -> None:
        """Refuse sizes that do not fit together.

        Raises:
            ValueError: naming the fields and their values.
        """
        least = {
            name: getattr(self, name) for name in ("hidden_size", "num_attention_heads", "patch_size", "num_channels")
        }
        for name, value in least.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                "hidden_size must be a multiple of num_attention_heads, "
                f"got hidden_size={self.hidden_size} and num_attention_heads={self.num_attention_heads}"
            )
        parts = {"axial": 4, "mixed": 4, "flat": 2}.get(self.rope_kind, 1)
        if self.head_size % parts:
            raise ValueError(
                f"hidden_size / num_attention_heads must be a multiple of {parts} with rope_kind={self.rope_kind!r}, "
                f"got {self.head_size}"
            )
        if not isinstance(self.image_size, int) and len(self.image_size) != 2:
            raise ValueError(f"image_size must be a side, or height and width, got {self.image_size}")
        for side in self.image_shape:
            if side < 1 or side % self.patch_size:
                raise ValueError(
                    f"image_size must be a multiple of patch_size={self.patch_size}, got {self.image_size}"
                )

    def validate_fixed_fields(self) -> None:
        """Refuse fields of other architectures.

        Raises:
            ValueError: naming the field, its value and the value that works.
        """
        check_fixed_fields(self, self.fixed_fields)
