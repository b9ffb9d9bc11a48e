"""Ways of training that any task may be given, each by options of every ``hf-ext train`` that stand here alone."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar

from transformers import AutoConfig, Trainer, TrainerCallback

from hf_ext.losses.rows import check_at_least
from hf_ext.tasks.base.option import option
from hf_ext.training.averaged_weights import EMACallback
from hf_ext.training.job_trainer import JobTrainer
from hf_ext.training.learning_rates import LearningRatesTrainer, check_learning_rates
from hf_ext.training.r_drop import Divergence, RDropTrainer, output_divergence
from hf_ext.training.replacement_schedule import ReplacementSchedule
from hf_ext.training.theseus import attach_successor

METHODS = "Methods"
"""The group of their options."""


@dataclass(kw_only=True)
class Methods:
    """The methods of a job; none is used unless one of its options is given."""

    r_drop: float | None = option(
        "Run each batch twice under dropout, and weight by this how far both are apart (R-Drop); 4 in the original.",
        None,
        group=METHODS,
    )
    compress_to: int | None = option(
        "Train a model of so many layers to stand in for the trained model, and save it (BERT-of-Theseus).",
        None,
        group=METHODS,
    )
    replacement_rate: float | None = option(
        "Probability of a part of it to stand in at first; else 0.5.", None, group=METHODS
    )
    replacement_slope: float | None = option(
        "What each step adds to the probability, up to 1, as 0.0006; 0 leaves it as it is.", None, group=METHODS
    )
    replacement_steps: float | None = option(
        "After so many steps, or such a share of them, it is trained alone; else after two thirds.", None, group=METHODS
    )
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

    divergence: ClassVar[Divergence] = staticmethod(output_divergence)
    """How far two passes of the task's model are apart; see `hf_ext.training.r_drop.RDropTrainer`."""
    refused_methods: ClassVar[Mapping[str, str]] = {}
    """Options of methods that the task cannot be trained with, and why."""

    def __post_init__(self) -> None:
        for name in self.methods_given():
            if name in self.refused_methods:
                raise ValueError(f"{name} must be left out, got {getattr(self, name)}: {self.refused_methods[name]}")
        if self.r_drop is not None:
            check_at_least("r_drop", self.r_drop, 0)
        self._check_compression()
        check_learning_rates(self.layer_decay, self.learning_rate_multipliers)
        if self.ema_decay is not None:
            EMACallback(self.ema_decay)

    def _check_compression(self) -> None:
        """Raise ValueError if options of a replacement have no effect, or one is out of range."""
        options = ("replacement_rate", "replacement_slope", "replacement_steps")
        if self.compress_to is None:
            for name in options:
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} goes with compress_to, got {getattr(self, name)} without it")
            return
        if self.compress_to < 1:
            raise ValueError(f"compress_to must be at least 1, got {self.compress_to}")
        if getattr(self, "model", None) is None:
            raise ValueError(
                f"compress_to goes with model, which is trained already, got {self.compress_to} without it"
            )
        self._schedule()

    def methods_given(self) -> list[str]:
        """The options of methods that have another value than by default."""
        options = [one for one in fields(self) if one.metadata.get("group") == METHODS]
        return [one.name for one in options if getattr(self, one.name) != _default(one)]

    def method_trainers(self) -> Iterator[tuple[type[Trainer], dict[str, Any]]]:
        """The Trainers of the methods with their arguments, the one around all others first."""
        if self.r_drop is not None:
            yield RDropTrainer, {"alpha": self.r_drop, "divergence": type(self).divergence}
        if self.layer_decay is not None or self.learning_rate_multipliers:
            multipliers = self.learning_rate_multipliers
            yield LearningRatesTrainer, {"layer_decay": self.layer_decay, "learning_rate_multipliers": multipliers}

    def method_callbacks(self) -> Iterator[TrainerCallback]:
        """The callbacks of the methods."""
        if self.compress_to is not None:
            yield self._schedule()
        if self.ema_decay is not None:
            yield EMACallback(self.ema_decay)

    def prepare_model(self, model: Any) -> None:
        """Make of a model, as `load_model` opened it, the one that the methods train.

        Raises:
            ValueError: if they cannot train it.
        """
        if self.compress_to is not None:
            self._check_trained(model)
            try:
                attach_successor(model, self.compress_to)
            except ValueError as error:
                raise ValueError(
                    f"compress_to={self.compress_to} cannot be had of {getattr(self, 'model', None)}: {error}"
                ) from error

    def _check_trained(self, model: Any) -> None:
        """Raise ValueError if the head of a model is new, as it is to stay as it is."""
        name = str(getattr(self, "model", None))
        trained = AutoConfig.from_pretrained(name).architectures or ()
        # An encoder alone has none.
        if model.base_model is not model and type(model).__name__ not in trained:
            raise ValueError(
                f"model must be trained for the task, as its head stays as it is under compress_to, got "
                f"{', '.join(trained) or 'no class'} in {name}, and a new head of a {type(model).__name__}"
            )

    def _schedule(self) -> ReplacementSchedule:
        rate = 0.5 if self.replacement_rate is None else self.replacement_rate
        steps = self.replacement_steps
        if steps is None and self.replacement_slope is None:
            # Of 15 epochs the original's successor has the last 5 to itself.
            steps = 2 / 3
        return ReplacementSchedule(rate, self.replacement_slope, steps)

    def trainer_with_methods(self, own: type[JobTrainer]) -> tuple[type[JobTrainer], dict[str, Any]]:
        """A Trainer that trains by the methods too, and its arguments for them.

        Args:
            own: that of the task. Those of methods call it as their superclass.
        """
        found = dict(self.method_trainers())
        if not found:
            return own, {}
        made = type(own.__name__, (*found, own), {"__doc__": own.__doc__, "__module__": own.__module__})
        return made, {name: value for arguments in found.values() for name, value in arguments.items()}


def _default(field: Any) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()
