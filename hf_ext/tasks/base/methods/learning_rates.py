"""The options of learning rates by layer and by name, and of averaged weights."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from transformers import Trainer, TrainerCallback

from hf_ext.tasks.base.option import METHODS, option
from hf_ext.training.averaged_weights import EMACallback
from hf_ext.training.learning_rates import LearningRatesTrainer
from hf_ext.training.parameter_groups import check_learning_rates


@dataclass(kw_only=True)
class LearningRateOptions:
    """How fast each part of a model learns, and what of its way is kept."""

    layer_decay: float | None = option(
        "Factor of the learning rate from each layer to the one below it, as 0.9.", None, group=METHODS
    )
    learning_rate_multipliers: Mapping[str, float] = option(
        "Factor of the learning rate of parameters by a part of their name, as embeddings=0.5; may be given several "
        "times, and factors multiply.",
        group=METHODS,
        default_factory=dict,
    )
    ema_decay: float | None = option(
        "Evaluate and save an average of the weights over steps, which keeps such a part of itself, as 0.999.",
        None,
        group=METHODS,
    )

    def check_learning_rates(self) -> None:
        """Raise ValueError for a factor that is none."""
        check_learning_rates(self.layer_decay, self.learning_rate_multipliers)
        # Made, it checks its number.
        list(self.learning_rate_callbacks())

    def learning_rate_trainers(self) -> Iterator[tuple[type[Trainer], dict[str, Any]]]:
        """The Trainer that makes the groups, with its arguments."""
        if self.layer_decay is not None or self.learning_rate_multipliers:
            multipliers = self.learning_rate_multipliers
            yield LearningRatesTrainer, {"layer_decay": self.layer_decay, "learning_rate_multipliers": multipliers}

    def learning_rate_callbacks(self) -> Iterator[TrainerCallback]:
        """That which averages weights."""
        if self.ema_decay is not None:
            yield EMACallback(self.ema_decay)
