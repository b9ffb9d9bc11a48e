"""A sigmoid raised to a power, which begins near 0: for labels that are rare (kexue.fm/archives/7161)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from hf_ext.ops.graphs import is_exported
from hf_ext.ops.precision import at_least_float32


def power_logit(scores: Tensor, power: int) -> Tensor:
    """``logit(sigmoid(scores) ** power)``: what has that probability under a plain sigmoid, in losses and thresholds.

    Exact where the probability itself would be 0 or 1 in floating point.

    Args:
        scores: any shape; half precision is computed in float32, and what overflowed in float16 is taken for its
            largest number.
        power: at least 1.

    Returns:
        The same shape, in float32 or better.

    Raises:
        ValueError: if ``power`` is less than 1.
    """
    if power < 1:
        raise ValueError(f"power must be at least 1, got {power}")
    most = torch.finfo(scores.dtype).max
    # A loss of what has overflowed would not be a number.
    scores = at_least_float32(scores).clamp(-most, most)
    probability = scores.sigmoid()
    rest = torch.zeros_like(scores)
    for _ in range(power - 1):
        # 1 - p^k = (1 - p) (1 + p + ... + p^(k - 1)).
        rest = probability * (1 + rest)
    return power * _log_sigmoid(scores) - _log_sigmoid(-scores) - rest.log1p()


def _log_sigmoid(scores: Tensor) -> Tensor:
    if not is_exported():
        return F.logsigmoid(scores)
    # ONNX has the logarithm of a sigmoid alone, which is -inf where that is rounded to 0. This has no gradient at 0.
    return scores.clamp(max=0) - (-scores.abs()).exp().log1p()
