"""The settings by which a model reads texts longer than in training, whether it is trained with them or not.

Sources: kexue.fm/archives/8823, 9431, 9444, 9603, 9675, 9706, 9708, 9728, 9731, 9859.
"""

import math
from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from hf_ext.modules.extrapolation_rules import RE_ROPE, check_combinations, rope_type
from hf_ext.modules.rotary_positions import RotaryConfig

POSITION_BIASES = ("alibi", "kerple_power", "kerple_log", "sandwich")


@strict
class ExtrapolationConfig(RotaryConfig):
    """Settings of the encoders that can be told how to read long texts; the others are those of `EncoderConfig`.

    All but ``position_bias`` may be set on the config of a model that is there, which then computes by them.

    Attributes:
        rope_parameters: as in `RotaryConfig`, and ``rope_type`` ``"rerope"`` (with ``window``), ``"leaky_rerope"``
            (``window``, ``step``) or ``"xpos"`` (``decay``, between 0 and 1).
        max_position_embeddings: length of training, at which the factor of ``log_n`` is 1.
        log_n: scores times the logarithm of the number of keys that a query sees, to the base of the length of
            training: ``"always"``, or ``"after_training"``, where it is at least 1, for a model trained without. Not in
            layers with a window.
        attention_window: number of keys that a query sees: in a causal model its own and those before it, in another
            ``(attention_window - 1) // 2`` on each side. None: all.
        full_attention_layers: numbers of the layers without the window; negative ones count from the last (HWFA).
        full_attention_positions: whether those layers know positions, as in HWFA2; not in HWFA.
        key_norm: keys of length one, and scores that are not divided by the root of the head size (KeyNorm).
        position_bias: in place of the rotation ``"alibi"``, ``"kerple_power"``, ``"kerple_log"`` or ``"sandwich"``,
            added to the scores.
    """

    rope_settings: ClassVar[dict[str, tuple[str, ...]]] = {
        **RotaryConfig.rope_settings,
        "rerope": ("window",),
        "leaky_rerope": ("window", "step"),
        "xpos": ("decay",),
    }

    log_n: str | None = None
    attention_window: int | None = None
    full_attention_layers: list[int] | None = None
    full_attention_positions: bool = False
    key_norm: bool = False
    position_bias: str | None = None

    @property
    def extrapolates(self) -> bool:
        """Whether any of the fields above says something; ``rope_parameters`` is not among them."""
        fields = ("log_n", "attention_window", "full_attention_layers", "key_norm", "position_bias")
        # By identity, as a window of 0 is not without one.
        return not all(getattr(self, field) is None or getattr(self, field) is False for field in fields)

    @property
    def scores_by_distance(self) -> bool:
        """Whether scores are made otherwise than as products of queries and keys, which eager attention alone does."""
        return self.position_bias is not None or rope_type(self) in (*RE_ROPE, "xpos")

    def sees_all(self, layer: int) -> bool:
        """Whether a layer is without a window."""
        return self.attention_window is None or layer in self._full_layers

    def knows_places(self, layer: int) -> bool:
        """Whether a layer has positions."""
        return self.attention_window is None or self.full_attention_positions or layer not in self._full_layers

    @property
    def _full_layers(self) -> set[int]:
        return {layer % self.num_hidden_layers for layer in self.full_attention_layers or ()}

    def validate_extrapolation(self) -> None:
        """Refuse what is not understood, what cannot go together, and what would have no effect.

        Raises:
            ValueError: naming the field, its value and the values that work.
        """
        self.validate_rotation()
        choices: dict[str, tuple[Any, ...]] = {
            "log_n": (None, "always", "after_training"),
            "position_bias": (None, *POSITION_BIASES),
        }
        for field, allowed in choices.items():
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field} must be one of {allowed}, got {getattr(self, field)!r}")
        window, layers = self.attention_window, self.num_hidden_layers
        if window is not None and window < 1:
            raise ValueError(f"attention_window must be at least 1, got {window}")
        for layer in self.full_attention_layers or ():
            if not -layers <= layer < layers:
                raise ValueError(
                    f"full_attention_layers must be in [-{layers}, {layers}), the layers that there are, got {layer}"
                )
        if self.log_n and self.max_position_embeddings < 2:
            raise ValueError(
                "max_position_embeddings must be at least 2 under log_n, whose base it is, "
                f"got {self.max_position_embeddings}"
            )
        rope: Any = self.rope_parameters or {}
        if rope_type(self) in RE_ROPE and (not isinstance(rope["window"], int) or rope["window"] < 1):
            raise ValueError(f"rope_parameters: window must be a whole number of at least 1, got {rope['window']!r}")
        if rope_type(self) == "leaky_rerope" and not 0 < rope["step"] < math.inf:
            raise ValueError(f"rope_parameters: step must be positive and finite, got {rope['step']!r}")
        if rope_type(self) == "xpos" and not 0 < rope["decay"] < 1:
            raise ValueError(f"rope_parameters: decay must be between 0 and 1, got {rope['decay']!r}")
        check_combinations(self)
