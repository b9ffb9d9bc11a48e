"""Training with random positions, for a model that is to read longer texts (kexue.fm/archives/9444)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import Trainer

from hf_ext.ops.random_positions import SCHEMES, random_positions, spread_positions


@dataclass
class DataCollatorWithRandomPositions:
    """Adds ``position_ids`` ``[B, L]`` to the batches of another collator, drawn for each row by itself.

    For encoders whose positions are a function of a number, such as a rotation. A causal model has nothing of it where
    it generates (kexue.fm/archives/9603). `RandomPositionsTrainer` evaluates without.

    An ``attention_mask`` is always sent along: without one a model takes positions for marks of where documents begin.
    Padding in front of a text counts down from its first position, and behind it up from its last.

    Args:
        collator: makes a batch of rows: ``input_ids`` ``[B, L]`` and, where a row has padding, ``attention_mask``.
        scheme: ``"subset"``, ``"equal_mean"`` or ``"shift"``, of :func:`hf_ext.ops.random_positions.random_positions`.
        top: number of positions that there are; the article has 2,048 for texts of 40 tokens. ``"equal_mean"`` may do
            without.
        evaluation: positions outside of training: ``"plain"``, counted from 0, or under ``"subset"`` ``"even"``, spread
            over all that there are, which is mostly better than drawing.
        training: whether positions are drawn.

    Raises:
        ValueError: for an unknown scheme or evaluation, or a ``top`` that is missing.
    """

    collator: Callable[[Sequence[Any]], dict[str, Any]]
    scheme: str = "subset"
    top: int | None = None
    evaluation: str = "plain"
    training: bool = True

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise ValueError(f"scheme must be one of {SCHEMES}, got {self.scheme!r}")
        if self.top is None and self.scheme != "equal_mean":
            raise ValueError(f"top must be given under scheme={self.scheme!r}, got None")
        if self.evaluation not in ("plain", "even"):
            raise ValueError(f'evaluation must be "plain" or "even", got {self.evaluation!r}')
        if self.evaluation == "even" and self.scheme != "subset":
            raise ValueError(f'evaluation must be "plain" under scheme={self.scheme!r}, got "even"')

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the other collator, which Trainer saves where it is given none."""
        return getattr(self.collator, "tokenizer", None)

    def for_evaluation(self) -> "DataCollatorWithRandomPositions":
        """The same with the positions of evaluation."""
        return replace(self, training=False)

    def __call__(self, rows: Sequence[Any]) -> dict[str, Any]:
        """The other collator's batch, with ``position_ids`` and ``attention_mask``.

        Raises:
            ValueError: if the batch has ``position_ids`` already, or a row more tokens than there are positions.
        """
        batch = self.collator(rows)
        if "position_ids" in batch:
            raise ValueError("the batch of a collator must be without position_ids to be given random ones, got some")
        ids = batch["input_ids"]
        mask = batch.setdefault("attention_mask", torch.ones_like(ids))
        if self.training or self.evaluation == "even":
            batch["position_ids"] = self._positions(mask != 0)
        return batch

    def _positions(self, real: Tensor) -> Tensor:
        """Positions ``[B, L]`` of tokens and padding."""
        lengths, width = real.sum(-1), real.shape[1]
        if self.training:
            drawn = random_positions(self.scheme, lengths, width, self.top)
        else:
            assert self.top is not None
            if int(lengths.max()) > self.top:
                raise ValueError(f"top must be at least {int(lengths.max())}, the tokens of a row, got {self.top}")
            drawn = spread_positions(lengths, width, self.top - 1)
        # Tokens may begin after padding: the n-th one has the n-th position.
        rank = real.cumsum(-1) - 1
        first = real.int().argmax(-1, keepdim=True)
        places = torch.arange(width)
        after = drawn.gather(1, rank.clamp(min=0))
        # Behind the last token the rank stands still.
        after = torch.where(real, after, after + places - _last_real(real))
        positions = torch.where(rank < 0, drawn[:, :1] + places - first, after)
        return positions if not positions.is_floating_point() else positions.float()


def _last_real(real: Tensor) -> Tensor:
    """Of each place the last real one up to it, ``[B, L]``; 0 where there is none."""
    places = torch.arange(real.shape[1]).expand_as(real)
    return torch.where(real, places, 0).cummax(-1).values


class RandomPositionsTrainer(Trainer):
    """Trainer whose evaluations and predictions have the positions of evaluation, where training has random ones."""

    def get_eval_dataloader(self, *args: Any, **kwargs: Any) -> DataLoader:
        """Trainer's, over `DataCollatorWithRandomPositions.for_evaluation`."""
        with self._evaluating():
            return super().get_eval_dataloader(*args, **kwargs)

    def get_test_dataloader(self, *args: Any, **kwargs: Any) -> DataLoader:
        """The same for predictions."""
        with self._evaluating():
            return super().get_test_dataloader(*args, **kwargs)

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        collator: Any = self.data_collator
        if not isinstance(collator, DataCollatorWithRandomPositions):
            name = type(collator).__name__
            raise TypeError(f"data_collator must be a DataCollatorWithRandomPositions, got a {name}")
        self.data_collator = collator.for_evaluation()
        try:
            yield
        finally:
            self.data_collator = collator
