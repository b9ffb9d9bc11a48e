"""A layer norm whose gain and offset depend on a vector (kexue.fm/archives/7124)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init


class ConditionalLayerNorm(nn.Module):
    """``norm(x) (gain + A c) + offset + B c``, a plain layer norm to begin with: A and B begin at 0.

    Args:
        size: H, of the last dimension.
        condition_size: C, of the condition.
        eps: added to the variance.
    """

    def __init__(self, size: int, condition_size: int, eps: float = 1e-7) -> None:
        super().__init__()
        self.size = size
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(size))
        self.bias = nn.Parameter(torch.empty(size))
        self.weight_dense = nn.Linear(condition_size, size, bias=False)
        self.bias_dense = nn.Linear(condition_size, size, bias=False)
        self.init_weights()

    def init_weights(self) -> None:
        """Begin as a plain layer norm. Tensors loaded from a checkpoint are spared."""
        init.ones_(self.weight)
        for parameter in (self.bias, self.weight_dense.weight, self.bias_dense.weight):
            init.zeros_(parameter)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Normalise the last dimension.

        Args:
            x: ``[B, L, H]``.
            condition: ``[B, C]``, one for all tokens of a row.

        Returns:
            ``[B, L, H]``.
        """
        gain = self.weight + self.weight_dense(condition).unsqueeze(-2)
        offset = self.bias + self.bias_dense(condition).unsqueeze(-2)
        return F.layer_norm(x, (self.size,), eps=self.eps) * gain + offset

    def extra_repr(self) -> str:
        """What ``print(model)`` shows."""
        return f"size={self.size}, eps={self.eps}"
