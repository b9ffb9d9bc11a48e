"""Layer norms by name."""

from torch import Tensor, nn
from torch.nn import functional as F


class UncenteredNorm(nn.Module):
    """``x / sqrt(mean(x^2) + eps)``: no centring, gain or offset (RoFormer-V2, kexue.fm/archives/8998).

    Args:
        eps: added to the mean square.
    """

    def __init__(self, eps: float = 1e-7):
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension of ``x`` ``[..., H]``; half precision is squared in float32."""
        return F.rms_norm(x, x.shape[-1:], eps=self.eps)

    def extra_repr(self) -> str:
        """What ``print(model)`` shows."""
        return f"eps={self.eps}"


def make_norm(norm_type: str, size: int, eps: float) -> nn.Module:
    """Build the norm that a config names.

    Args:
        norm_type: ``"layer_norm"`` or ``"rms_norm"``.
        size: hidden size H.
        eps: epsilon.

    Raises:
        ValueError: if the name is unknown.
    """
    if norm_type == "layer_norm":
        return nn.LayerNorm(size, eps=eps)
    if norm_type == "rms_norm":
        return UncenteredNorm(eps)
    raise ValueError(f'norm_type must be "layer_norm" or "rms_norm", got {norm_type!r}')
