"""The steps of training of experiments that need no Trainer."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def fit(
    model: nn.Module, loss: Callable[[], Tensor], steps: int, learning_rate: float, weight_decay: float = 0.0
) -> float:
    """Train with AdamW; the rate rises for a tenth of the steps and falls to 0 in a line.

    Args:
        model: to be trained.
        loss: of the next batch, a number.
        steps: of them.
        learning_rate: the highest.
        weight_decay: of all parameters.

    Returns:
        The loss of the last step.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
    warm_up = max(1, steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm_up, (steps - step) / (steps - warm_up))
    )
    model.train()
    value = torch.zeros(())
    for _ in range(steps):
        value = loss()
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()
    return value.item()
