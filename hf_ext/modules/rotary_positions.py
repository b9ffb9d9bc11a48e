"""Positions by rotation, as a config states them: its settings, and cosines and sines of a forward pass.

Shapes: B batch, L tokens, D size of the vectors that are turned.
"""

from typing import Any, ClassVar

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS, RopeParameters

from hf_ext.modules.encoder_config import EncoderConfig
from hf_ext.ops.ntk import NTK_KINDS, ntk_frequencies
from hf_ext.ops.rotary import rotary_cos_sin

_OPTIONAL = {"ntk_mixed": ("exponent",)}
# Of the library.
_ROPE_TYPES = ("default", "linear", "dynamic", "yarn", "longrope", "llama3")


@strict
class RotaryConfig(EncoderConfig):
    """Settings of the encoders that turn queries and keys by their positions; the others are those of `EncoderConfig`.

    Attributes:
        rope_parameters: ``rope_theta``, and ``rope_type`` with its settings to stretch the context: the library's, or
            ``"ntk_old"``, ``"ntk_aware"``, ``"ntk_fixed"`` or ``"ntk_mixed"`` with ``factor``, how many times as long
            texts are as in training, and for the last one ``exponent`` (:func:`hf_ext.ops.ntk.ntk_frequencies`).
    """

    # The settings that each type of ours needs; `_OPTIONAL` has those that it may have.
    rope_settings: ClassVar[dict[str, tuple[str, ...]]] = dict.fromkeys(NTK_KINDS, ("factor",))

    default_theta = 10000.0

    rope_parameters: RopeParameters | dict | None = None

    @property
    def head_dim(self) -> int:
        """``head_size``, by the name under which the library's ways to stretch the context look for it."""
        return self.head_size

    def validate_rope(self) -> None:
        """Leave types of ours, which the library would warn of, to :meth:`validate_rotation`."""
        if (self.rope_parameters or {}).get("rope_type") not in self.rope_settings:
            super().validate_rope()

    def validate_rotation(self) -> None:
        """Refuse settings of the rotation that are not understood.

        Raises:
            ValueError: naming the setting, its value and the values that work.
        """
        rope: Any = self.rope_parameters or {}
        kind, allowed = rope.get("rope_type", "default"), (*_ROPE_TYPES, *self.rope_settings)
        if kind not in allowed:
            raise ValueError(f"rope_parameters: rope_type must be one of {allowed}, got {kind!r}")
        if rope.get("partial_rotary_factor") not in (None, 1):
            raise ValueError(
                "rope_parameters: partial_rotary_factor must be 1, as the whole of each head is rotated, "
                f"got {rope['partial_rotary_factor']}"
            )
        if kind in self.rope_settings:
            self._check_settings(kind, rope)

    def _check_settings(self, kind: str, rope: dict[str, Any]) -> None:
        needed, optional = self.rope_settings[kind], _OPTIONAL.get(kind, ())
        given = rope.keys() - {"rope_type", "type", "rope_theta", "partial_rotary_factor"}
        if missing := set(needed) - given:
            raise ValueError(f"rope_parameters: rope_type {kind!r} needs {sorted(missing)}, got {sorted(given)}")
        if unknown := given - {*needed, *optional}:
            raise ValueError(f"rope_parameters: rope_type {kind!r} takes {[*needed, *optional]}, got {sorted(unknown)}")
        for name in given:
            if isinstance(rope[name], bool) or not isinstance(rope[name], int | float):
                raise ValueError(f"rope_parameters: {name} must be a number, got {rope[name]!r}")
        if not rope.get("factor", 1) >= 1:
            raise ValueError(f"rope_parameters: factor must be at least 1, got {rope['factor']}")
        if not rope.get("exponent", 1) >= 0:
            raise ValueError(f"rope_parameters: exponent must be at least 0, got {rope['exponent']}")


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
    if rope["rope_type"] != "default" and (not config.rope_parameters or "rope_theta" not in config.rope_parameters):
        raise ValueError(f"rope_parameters must have rope_theta when it is set on a config, got {rope}")
    if rope["rope_type"] in NTK_KINDS:
        more = {name: rope[name] for name in _OPTIONAL.get(rope["rope_type"], ()) if name in rope}
        frequencies = ntk_frequencies(
            rope["rope_type"], config.head_dim, rope["factor"], rope["rope_theta"], device=position_ids.device, **more
        )
    # Others of ours turn by plain angles, and change what is done with them.
    elif rope["rope_type"] in _ROPE_TYPES[1:]:
        scale = ROPE_INIT_FUNCTIONS[rope["rope_type"]]
        frequencies, factor = scale(config, position_ids.device, seq_len=position_ids.max() + 1)
    cos, sin = rotary_cos_sin(position_ids, config.head_dim, rope["rope_theta"], frequencies)
    dtype = torch.promote_types(dtype, torch.float32)
    return (cos * factor).to(dtype), (sin * factor).to(dtype)
