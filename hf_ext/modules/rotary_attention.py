"""Multi-head attention with rotated queries and keys (kexue.fm/archives/8265)."""

from torch import Tensor

from hf_ext.modules.transformer_block import SelfAttention
from hf_ext.ops.rotary import apply_rotary


class RotarySelfAttention(SelfAttention):
    """Attention whose queries and keys are rotated by their places, and values if ``config.rotary_value`` says so."""

    def place(
        self, query: Tensor, key: Tensor, value: Tensor, positions: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rotate ``[B, N, L, D]``; ``positions`` are cosines and sines ``[B or 1, L, D/2]``."""
        if self.config.rotary_value:
            value = apply_rotary(value, *positions)
        return apply_rotary(query, *positions), apply_rotary(key, *positions), value
