"""The options of the articles' optimiser."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from transformers import Trainer

from hf_ext.tasks.base.option import METHODS, option
from hf_ext.training.article_optimizer import ARTICLE_ARGUMENTS, OTHER_OPTIMIZERS, ArticleOptimizerTrainer

ARTICLE = "article"
"""The choice of ``optimizer``."""


@dataclass(kw_only=True)
class OptimizerOptions:
    """An optimiser that is none of Trainer's."""

    optimizer: str | None = option(
        "Train by AdaFactor with momentum and nothing factored, as the articles' benchmarks do (article), unless told "
        "otherwise at a constant learning rate of 5e-4; else by the optimiser that optim names.",
        None,
        group=METHODS,
        choices=(ARTICLE,),
    )
    count_micro_steps: bool = option(
        "With optimizer: count each micro-batch of an accumulated gradient as a step, as the original does.",
        False,
        group=METHODS,
    )

    def check_optimizer(self) -> None:
        """Raise ValueError for an option without effect, or another optimiser."""
        if self.optimizer not in (None, ARTICLE):
            raise ValueError(f"optimizer must be {ARTICLE} or left out, got {self.optimizer!r}")
        if self.count_micro_steps and self.optimizer is None:
            raise ValueError("count_micro_steps goes with optimizer, got True without it")

    def optimizer_arguments(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Training arguments that suit the optimiser, where none are given.

        Args:
            given: those that are.

        Raises:
            ValueError: if they choose another.
        """
        if self.optimizer is None:
            return {}
        for name in OTHER_OPTIMIZERS:
            if name in given:
                raise ValueError(f"{name} must be left out with optimizer={self.optimizer}, got {given[name]}")
        return ARTICLE_ARGUMENTS

    def optimizer_trainers(self) -> Iterator[tuple[type[Trainer], dict[str, Any]]]:
        """Its Trainer, with its arguments."""
        if self.optimizer is not None:
            yield ArticleOptimizerTrainer, {"count_micro_steps": self.count_micro_steps}
