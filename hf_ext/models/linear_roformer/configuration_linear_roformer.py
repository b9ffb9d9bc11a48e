"""Configuration of RoFormer with linear attention."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from hf_ext.models.roformer.configuration_roformer import RoFormerConfig
from hf_ext.ops.linear_attention import KERNELS, check_kernel


@strict
class LinearRoFormerConfig(RoFormerConfig):
    """Settings of a RoFormer whose attention is linear in the length of the text (kexue.fm/archives/7546, 7921, 8338).

    The other fields are those of :class:`RoFormerConfig`.

    Attributes:
        attention_kernel: how alike a query and a key are: ``"exp"``, ``"elu"``, ``"softmax_exp"``, ``"double_softmax"``
            (not causal), ``"cosine"`` or ``"favor"``; see :func:`hf_ext.ops.linear_attention.linear_attention`.
        feature_size: width M of a head's queries and keys, as wide as its values where it is None; under ``"favor"``,
            whose queries and keys are as wide as its values, the number of random features. A matrix of attention
            weights has at most rank M: 4 times the head size is what it takes to come near softmax (8338).
        use_rotary: whether positions turn the features; without, the model knows no order but for causality.
        redraw_interval: after how many forward passes in training the random features of ``"favor"`` are drawn anew.
            None: never.
        feature_seed: by which those of ``"favor"`` are drawn.
        attention_mode: ``"bidirectional"`` or ``"causal"``. None: causal if ``is_decoder``, else bidirectional.
        attention_probs_dropout_prob: 0, as there are no attention weights to drop.
    """

    model_type = "linear_roformer"
    own_type: ClassVar[str] = "linear_roformer"
    readable_types: ClassVar[tuple[str, ...]] = ()
    fixed_fields: ClassVar[dict[str, Any]] = {
        **RoFormerConfig.fixed_fields,
        "rotary_value": False,
        "attention_probs_dropout_prob": 0,
        "add_cross_attention": False,
        "trainable_frequencies": False,
    }

    attention_probs_dropout_prob: float | int = 0
    attention_kernel: str = "exp"
    feature_size: int | None = None
    use_rotary: bool = True
    redraw_interval: int | None = None
    feature_seed: int = 0

    @property
    def resolved_feature_size(self) -> int:
        """``feature_size``, or the size of a head where it is None."""
        return self.head_size if self.feature_size is None else self.feature_size

    @property
    def head_dim(self) -> int:
        """How many numbers positions turn: the features."""
        return self.resolved_feature_size

    def validate_choices(self) -> None:
        """Refuse names that mean nothing.

        Raises:
            ValueError: naming the field, its value and the values that work.
        """
        super().validate_choices()
        if self.attention_kernel not in KERNELS:
            raise ValueError(f"attention_kernel must be one of {KERNELS}, got {self.attention_kernel!r}")
        if self.attention_mode == "unilm":
            raise ValueError(
                "attention_mode must be one of (None, 'bidirectional', 'causal'), as linear attention has sums and no "
                "masks, got 'unilm'"
            )

    def validate_heads(self) -> None:
        """Refuse features that cannot be rotated.

        Raises:
            ValueError: naming the fields and their values.
        """
        if self.feature_size is not None and self.feature_size < 1:
            raise ValueError(f"feature_size must be at least 1, got {self.feature_size}")
        if self.resolved_feature_size % 2:
            raise ValueError(
                "feature_size must be even, as rotation turns pairs, "
                f"got feature_size={self.feature_size} and heads of size {self.head_size}"
            )

    def validate_kernel(self) -> None:
        """Refuse a kernel that cannot do what else is asked, and settings that another kernel has.

        Raises:
            ValueError: naming the field, its value and the values that work.
        """
        check_kernel(self.attention_kernel, self.resolved_attention_mode == "causal")
        if self.attention_kernel != "favor":
            for field, none in (("redraw_interval", None), ("feature_seed", 0)):
                if getattr(self, field) != none:
                    raise ValueError(
                        f"{field} must be {none} but for attention_kernel 'favor', which has random features, "
                        f"got {getattr(self, field)} with {self.attention_kernel!r}"
                    )
        if self.redraw_interval is not None and self.redraw_interval < 1:
            raise ValueError(f"redraw_interval must be at least 1 or None, got {self.redraw_interval}")
        if self.feature_seed < 0:
            raise ValueError(f"feature_seed must be at least 0, got {self.feature_seed}")

    def validate_positions(self) -> None:
        """Refuse settings of a rotation that there is not.

        Raises:
            ValueError: naming the field and its value.
        """
        rope: Any = self.rope_parameters or {}
        default = {"rope_type": "default", "rope_theta": self.default_theta}
        if not self.use_rotary and any(rope.get(name, value) != value for name, value in default.items()):
            raise ValueError(f"rope_parameters must be None where use_rotary is False, got {rope}")
