"""Training without Trainer, for models that learn from batches made on the way."""

from collections.abc import Callable
from statistics import mean

import torch
from torch import Tensor, nn


def descend(model: nn.Module, loss: Callable[[], Tensor], steps: int, learning_rate: float) -> float:
    """Train with AdamW; the rate rises for a tenth of the steps and falls to 0 in a line, gradients are clipped to 1.

    Args:
        model: whose parameters learn.
        loss: of a batch that it makes anew at each call.
        steps: how many.
        learning_rate: the highest.

    Returns:
        The mean loss of the last tenth of the steps.
    """
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=0.01, fused=True)
    warm_up = max(1, steps // 10)
    losses = []
    model.train()
    for step in range(steps):
        share = min((step + 1) / warm_up, (steps - step) / max(1, steps - warm_up))
        optimizer.param_groups[0]["lr"] = learning_rate * share
        now = loss()
        now.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(now.item())
    model.eval()
    return mean(losses[-warm_up:])
