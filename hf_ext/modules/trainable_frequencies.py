"""Rotary frequencies that are learnt (kexue.fm/archives/8231, 8265).

Shapes: B batch, L tokens, D size of the vectors that are turned.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import initialization as init

from hf_ext.ops.rotary import rotary_cos_sin


class TrainableFrequencies(nn.Module):
    """Frequencies that begin at ``theta^(-2i/D)``, by their logarithms.

    These stay in float32 in a model of half precision, where the angle of a far position would be wrong by whole turns.

    Args:
        dim: size D of the vectors to rotate, even.
        theta: base of the frequencies at the start.
    """

    def __init__(self, dim: int, theta: float = 10000.0):
        super().__init__()
        self.dim, self.theta = dim, theta
        # Whatever type the library makes parameters of at the time.
        dtype = torch.promote_types(torch.get_default_dtype(), torch.float32)
        self.log_frequencies = nn.Parameter(torch.empty(dim // 2, dtype=dtype))

    def init_weights(self) -> None:
        """Begin at the frequencies of a model that does not learn them."""
        steps = torch.arange(0, self.dim, 2, dtype=torch.float64) / self.dim
        init.copy_(self.log_frequencies, -math.log(self.theta) * steps)

    def forward(self, position_ids: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cos and sin ``[B or 1, L, D/2]`` of positions ``[B or 1, L]``, in float32 or a better ``dtype``."""
        exact = torch.float32 if position_ids.device.type == "mps" else torch.float64
        cos, sin = rotary_cos_sin(position_ids, self.dim, frequencies=self.log_frequencies.to(exact).exp())
        dtype = torch.promote_types(dtype, torch.float32)
        return cos.to(dtype), sin.to(dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        def keep_wide(x: Tensor) -> Tensor:
            moved = fn(x)
            return moved if moved.dtype.itemsize >= 4 else x.to(moved.device)

        return super()._apply(keep_wide, recurse)
