"""Configuration of URPE."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from hf_ext.modules.encoder_config import EncoderConfig
from hf_ext.ops.normalised_attention import NORMALIZATIONS


@strict
class URPEConfig(EncoderConfig):
    """Settings of URPE, whose attention has a gain of the distance (arXiv 2205.13401; kexue.fm/archives/9105).

    Scores get a bias of the distance, and the weights that softmax makes of them a gain of it, so that a row of weights
    need not add up to 1. The other fields are those of :class:`EncoderConfig`.

    Attributes:
        relative_buckets: tables have a row for each of so many buckets of distances, less one, the far ones by their
            logarithm. None: a row for each distance within ``max_position_embeddings``, the last of which serves all
            beyond.
        relative_distance: from here on all distances to one side share a bucket.
        gain: ``"toeplitz"``: weights are multiplied by a number for head and distance; None: they are not, and under
            ``attention_normalization="softmax"`` this is plain relative attention.
        gain_init: what gains begin at, 1 for plain attention; None: random, as other tables.
        gain_relu: whether a gain below 0 counts as 0.
        attention_normalization: ``"softmax"``; ``"l2"``: weights are divided by the root of the sum of their squares;
            ``"none"``: they are not divided, and grow with the scores without bound.
        shared_tables: whether all layers have the same tables.
    """

    model_type = "urpe"
    # A table has a column for each head, of which plans know nothing.
    base_model_tp_plan: ClassVar[dict[str, str] | None] = None
    fixed_fields: ClassVar[dict[str, Any]] = {
        **EncoderConfig.fixed_fields,
        "position_embedding_type": "relative",
        "add_cross_attention": False,
    }

    relative_buckets: int | None = 64
    relative_distance: int = 128
    gain: str | None = "toeplitz"
    gain_init: float | int | None = 1.0
    gain_relu: bool = False
    attention_normalization: str = "softmax"
    shared_tables: bool = True

    @property
    def table_rows(self) -> int:
        """Rows of a table: distances, or buckets of them."""
        if self.relative_buckets is None:
            return 2 * self.max_position_embeddings - 1
        return self.relative_buckets - 1

    def validate_relative_positions(self) -> None:
        """Refuse tables that cannot be made, and settings without an effect.

        Raises:
            ValueError: naming the field, its value and the values that work.
        """
        if self.relative_buckets is not None:
            if self.relative_buckets < 4 or self.relative_buckets % 2:
                raise ValueError(f"relative_buckets must be even and at least 4, or None, got {self.relative_buckets}")
            if self.relative_distance <= self.relative_buckets // 4:
                raise ValueError(
                    f"relative_distance must be more than a quarter of relative_buckets={self.relative_buckets}, "
                    f"got {self.relative_distance}"
                )
        elif self.relative_distance != type(self).relative_distance:
            raise ValueError(f"relative_distance has no effect without relative_buckets, got {self.relative_distance}")
        if self.gain not in ("toeplitz", None):
            raise ValueError(f'gain must be "toeplitz" or None, got {self.gain!r}')
        if self.gain is None and (self.gain_relu or self.gain_init != 1):
            raise ValueError(
                'gain_init and gain_relu have no effect without gain="toeplitz", '
                f"got gain_init={self.gain_init} and gain_relu={self.gain_relu}"
            )
        if self.attention_normalization not in NORMALIZATIONS:
            raise ValueError(
                f"attention_normalization must be one of {NORMALIZATIONS}, got {self.attention_normalization!r}"
            )
