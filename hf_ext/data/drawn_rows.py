"""Rows of which a part is drawn anew in each epoch, depending on seed, epoch and number alone."""

import random
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils.data import Dataset


class DrawnRows(Dataset[dict[str, Any]]):
    """Rows to train on; a resumed run and one of several processes draw what a run without a break draws.

    Args:
        rows: encoded, by their numbers.
        draw: makes the row of an epoch from a row and what it draws with.
        seed: of all that is drawn.
    """

    def __init__(
        self, rows: Any, draw: Callable[[Mapping[str, Any], random.Random], dict[str, Any]], seed: int = 0
    ) -> None:
        self.rows, self.draw, self.seed = rows, draw, seed
        # Shared with workers, which may live longer than an epoch.
        self.epoch = torch.zeros((), dtype=torch.long).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Draw for an epoch, counted from 0; Trainer says so by itself once ``hf_ext`` is imported."""
        self.epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.draw(self.rows[index], random.Random(f"{self.seed} {int(self.epoch)} {index}"))
