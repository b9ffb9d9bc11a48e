"""Learning rates by layer and by the names of parameters, under any Trainer."""

from collections.abc import Mapping
from typing import Any

from transformers import Trainer

from hf_ext.training.parameter_groups import check_learning_rates, learning_rate_factors, split_by_factor


class LearningRatesTrainer(Trainer):
    """Trainer whose optimiser has other learning rates for some parameters, as `learning_rate_factors` says.

    Which optimiser that is, what decays and the schedule are Trainer's, and the schedule multiplies all rates alike.

    Args:
        layer_decay: factor of the learning rate from each layer to the one below it.
        learning_rate_multipliers: factor by a part of a parameter's name.
        *args: Trainer's.
        **kwargs: Trainer's; without ``optimizers``, which have groups of their own.

    Raises:
        ValueError: for a factor that is none; when the optimiser is made, as of `learning_rate_factors` and
            `split_by_factor`.
    """

    def __init__(
        self,
        *args: Any,
        layer_decay: float | None = None,
        learning_rate_multipliers: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        check_learning_rates(layer_decay, learning_rate_multipliers)
        super().__init__(*args, **kwargs)
        if self.optimizer is not None:
            raise ValueError(
                "optimizers must be left out where learning rates are to be multiplied, got a "
                f"{type(self.optimizer).__name__}"
            )
        self.layer_decay, self.learning_rate_multipliers = layer_decay, learning_rate_multipliers

    def create_optimizer(self, model: Any = None) -> Any:
        """As Trainer's, with its groups split."""
        is_new = self.optimizer is None
        made = super().create_optimizer(model)
        if is_new:
            whole: Any = self.model if model is None else model
            factors = learning_rate_factors(whole, self.layer_decay, self.learning_rate_multipliers)
            split_by_factor(made, whole, factors)
        return made
