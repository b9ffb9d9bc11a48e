"""Rows to train a cloze on, whose chance depends on seed, epoch and number alone: a resumed run has the same."""

from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset


class ClozeRows(Dataset[dict[str, Any]]):
    """Rows for :class:`DataCollatorForCloze`, each with the number that says which of its tokens are masked.

    Args:
        labelled: rows of :func:`encode_cloze`.
        unlabelled: rows of :func:`encode_unlabelled`, if any.
        paired: whether each labelled row brings an unlabelled one along, all of which come before one comes
            again; else they are rows like the others.
        seed: of all that is drawn.
    """

    def __init__(self, labelled: Any, unlabelled: Any = None, *, paired: bool = False, seed: int = 0) -> None:
        self.labelled, self.unlabelled, self.paired, self.seed = labelled, unlabelled, paired, seed
        self._orders: dict[int, list[int]] = {}
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Draw for an epoch, counted from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        alone = 0 if self.paired or self.unlabelled is None else len(self.unlabelled)
        return len(self.labelled) + alone

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index >= len(self):
            raise IndexError(index)
        if index >= len(self.labelled):
            return self._with_chance(self.unlabelled[index - len(self.labelled)], index)
        row = self._with_chance(self.labelled[index], index)
        if self.paired and self.unlabelled is not None:
            # Where the last epoch ended in the order of all, this one begins.
            turn, place = divmod(self.epoch * len(self.labelled) + index, len(self.unlabelled))
            row["unlabelled"] = self._with_chance(self.unlabelled[self._order(turn)[place]], len(self.labelled) + index)
        return row

    def _with_chance(self, row: dict[str, Any], number: int) -> dict[str, Any]:
        chance = np.random.SeedSequence((self.seed, self.epoch, number)).generate_state(1)
        return {**row, "chance": int(chance[0])}

    def _order(self, turn: int) -> list[int]:
        if turn not in self._orders:
            generator = torch.Generator().manual_seed(self.seed + turn)
            # An epoch needs few of them.
            self._orders = {one: own for one, own in self._orders.items() if abs(one - turn) < 2}
            self._orders[turn] = torch.randperm(len(self.unlabelled), generator=generator).tolist()
        return self._orders[turn]
