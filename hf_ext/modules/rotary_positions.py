"""Positions by rotation, as a config states them: its settings, and cosines and sines of a forward pass.

Shapes: B batch, L tokens, D size of the vectors that are turned.
"""

from typing import Any

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS, RopeParameters

from hf_ext.modules.encoder_config import EncoderConfig
from hf_ext.ops.rotary import rotary_cos_sin

_ROPE_TYPES = ("default", "linear", "dynamic", "yarn", "longrope", "llama3")


@strict
class RotaryConfig(EncoderConfig):
    """Settings of the encoders that turn queries and keys by their positions; the others are those of `EncoderConfig`.

    Attributes:
        rope_parameters: ``rope_theta``, and ``rope_type`` with its settings to stretch the context.
    """

    default_theta = 10000.0

    rope_parameters: RopeParameters | dict | None = None

    @property
    def head_dim(self) -> int:
        """``head_size``, by the name under which the library's ways to stretch the context look for it."""
        return self.head_size

    def validate_rotation(self) -> None:
        """Refuse settings of the rotation that are not understood.

        Raises:
            ValueError: naming the setting, its value and the values that work.
        """
        rope: Any = self.rope_parameters or {}
        if rope.get("rope_type", "default") not in _ROPE_TYPES:
            raise ValueError(f"rope_parameters: rope_type must be one of {_ROPE_TYPES}, got {rope['rope_type']!r}")
        if rope.get("partial_rotary_factor") not in (None, 1):
            raise ValueError(
                "rope_parameters: partial_rotary_factor must be 1, as the whole of each head is rotated, "
                f"got {rope['partial_rotary_factor']}"
            )


def rotations(config: RotaryConfig, position_ids: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The rotations of all layers, by what the config says now.

    Args:
        config: settings.
        position_ids: ``[B or 1, L]``.
        dtype: of the model.

    Returns:
        cos and sin ``[B or 1, L, D/2]`` each, in float32 or better.

    Raises:
        ValueError: if ``config.rope_parameters`` has been set to what is not understood.
    """
    config.validate_rotation()
    # What is set after the config was made lacks what making it fills in.
    rope: Any = {"rope_type": "default", "rope_theta": config.default_theta, **(config.rope_parameters or {})}
    frequencies, factor = None, 1.0
    if rope["rope_type"] != "default":
        if not config.rope_parameters or "rope_theta" not in config.rope_parameters:
            raise ValueError(f"rope_parameters must have rope_theta when it is set on a config, got {rope}")
        scale = ROPE_INIT_FUNCTIONS[rope["rope_type"]]
        frequencies, factor = scale(config, position_ids.device, seq_len=position_ids.max() + 1)
    cos, sin = rotary_cos_sin(position_ids, config.head_dim, rope["rope_theta"], frequencies)
    dtype = torch.promote_types(dtype, torch.float32)
    return (cos * factor).to(dtype), (sin * factor).to(dtype)
