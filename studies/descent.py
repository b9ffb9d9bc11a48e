"""Training without Trainer, for models that learn from batches made on the way."""

from collections.abc import Callable, Sequence
from statistics import mean

import torch
from torch import Tensor, nn


def descend(
    model: nn.Module,
    loss: Callable[[], Tensor],
    steps: int,
    learning_rate: float,
    weight_decay: float = 0.01,
    warm_up: bool = True,
) -> list[float]:
    """Train with AdamW; the rate rises for a tenth of the steps and falls to 0 in a line, gradients are clipped to 1.

    Args:
        model: whose parameters learn; it comes back as for evaluation.
        loss: of a batch that it makes anew at each call.
        steps: how many.
        learning_rate: the highest.
        weight_decay: of all parameters.
        warm_up: whether the rate rises at first; else it is the highest in the first step.

    Returns:
        The loss of each step.
    """
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=weight_decay, fused=True)
    rising = max(1, steps // 10) if warm_up else 1
    losses = []
    model.train()
    for step in range(steps):
        share = min((step + 1) / rising, (steps - step) / max(1, steps - rising))
        optimizer.param_groups[0]["lr"] = learning_rate * share
        now = loss()
        now.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(now.item())
    model.eval()
    return losses


def at_the_end(values: Sequence[float]) -> float:
    """The mean of the last tenth of what was seen step by step."""
    return mean(values[-max(1, len(values) // 10) :])
