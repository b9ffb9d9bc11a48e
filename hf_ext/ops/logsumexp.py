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


def log_odds(logits: Tensor, index: Tensor) -> Tensor:
    """``log(p / (1 - p))`` of the softmax probability p of one class a row, without loss where p is near 0 or 1.

    Args:
        logits: ``[..., C]``; -inf is a class that is not there.
        index: integers ``[...]``.

    Returns:
        ``[...]``, bounded by the numbers of the type where no other class is there.
    """
    index = index.unsqueeze(-1)
    others = logits.scatter(-1, index, -torch.inf)
    bounds = torch.finfo(logits.dtype)
    peak = others.detach().amax(-1, keepdim=True).clamp_min(bounds.min / 4)
    # Bounded before the logarithm, a sum of nothing has gradient 0 and not NaN.
    total = (others - peak).exp().sum(-1, keepdim=True).clamp_min(bounds.tiny)
    return (logits.gather(-1, index) - peak - total.log()).squeeze(-1)
