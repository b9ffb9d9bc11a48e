"""Sums of exponentials that neither overflow nor turn into NaN."""

import torch
from torch import Tensor


def log_one_plus_sum_exp(x: Tensor) -> Tensor:
    """``log(1 + sum_i e^x_i)`` over the last dimension, at least 0; entries of -inf, even all of them, add nothing.

    Args:
        x: ``[..., n]``; n may be 0.

    Returns:
        ``[...]``. The gradient is ``e^(x - result)``, 0 at -inf.
    """
    if x.shape[-1] == 0:
        return x.sum(-1)
    # The peak only scales the sum; its gradient cancels. Unlike torch.logsumexp, no row of -inf has a NaN gradient.
    peak = x.detach().amax(-1, keepdim=True).clamp(0, torch.finfo(x.dtype).max)
    total = (x - peak).exp().sum(-1, keepdim=True) + torch.exp(-peak)
    return (peak + total.log()).squeeze(-1)
