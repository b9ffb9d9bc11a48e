"""All methods of training that a job may be given, each by options of every ``hf-ext train``."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import partialmethod
from typing import Any, ClassVar

from transformers import Trainer, TrainerCallback

from hf_ext.tasks.base.methods.adversarial import AdversarialOptions
from hf_ext.tasks.base.methods.beginning import BeginningOptions
from hf_ext.tasks.base.methods.compression import CompressionOptions
from hf_ext.tasks.base.methods.learning_rates import LearningRateOptions
from hf_ext.tasks.base.methods.lora import LoraOptions
from hf_ext.tasks.base.methods.optimizer import OptimizerOptions
from hf_ext.tasks.base.methods.penalty import PenaltyOptions
from hf_ext.tasks.base.methods.r_drop import RDropOptions
from hf_ext.tasks.base.option import METHODS
from hf_ext.training.job_trainer import JobTrainer

_TRAINED = "which begins with a model that is trained already"
_APART = {
    ("initialization", "compress_to"): _TRAINED,
    ("residual_ramp", "compress_to"): _TRAINED,
    ("penalty=self_orthogonality", "compress_to"): "under which not all modules run in each pass",
    ("lora", "compress_to"): "whose smaller model is trained as a whole",
}
"""Options of methods, or one value, that do not go with another method, and why."""


@dataclass(kw_only=True)
class Methods(
    CompressionOptions,
    OptimizerOptions,
    LearningRateOptions,
    BeginningOptions,
    PenaltyOptions,
    AdversarialOptions,
    RDropOptions,
    LoraOptions,
):
    """The methods of a job; none is used unless one of its options is given."""

    refused_methods: ClassVar[Mapping[str, str]] = {}
    """Options of methods that the task cannot be trained with, or one value, as ``"adversarial=vat"``, and why."""

    def __post_init__(self) -> None:
        given = self.methods_given()
        refusals = dict(self.refused_methods)
        refusals |= {one: f"it does not go with {two}, {why}" for (one, two), why in _APART.items() if two in given}
        for name in given:
            value = getattr(self, name)
            for refused in (name, f"{name}={value}"):
                if refused in refusals:
                    wanted = "be left out" if refused == name else "be left out or have another value"
                    raise ValueError(f"{name} must {wanted}, got {value}: {refusals[refused]}")
        self.check_r_drop()
        self.check_adversarial()
        self.check_penalty()
        self.check_beginning()
        self.check_learning_rates()
        self.check_optimizer()
        self.check_compression()
        self.check_lora()

    def methods_given(self) -> list[str]:
        """The options of methods that have another value than by default."""
        options = [one for one in fields(self) if one.metadata.get("group") == METHODS]
        defaults = {
            one.name: one.default if one.default_factory is MISSING else one.default_factory() for one in options
        }
        return [name for name, default in defaults.items() if getattr(self, name) != default]

    def prepare_model(self, model: Any) -> None:
        """Make of a model, as `load_model` gave it, the one that the methods train.

        Raises:
            ValueError: if they cannot train it.
        """
        self.begin(model)
        self.compress(model)

    def method_callbacks(self) -> Iterator[TrainerCallback]:
        """The callbacks of the methods."""
        yield from self.compression_callbacks()
        yield from self.learning_rate_callbacks()
        # At the end of a run it is the averages that alpha is multiplied into.
        yield from self.beginning_callbacks()

    def method_trainers(self) -> Iterator[tuple[type[Trainer], dict[str, Any]]]:
        """The Trainers of the methods with their arguments, the one around all others first."""
        # What the others train is the adapted model.
        yield from self.lora_trainers()
        yield from self.vat_trainers()
        yield from self.r_drop_trainers()
        yield from self.adversarial_trainers()
        yield from self.learning_rate_trainers()
        # Groups are made of its rate.
        yield from self.optimizer_trainers()
        # Each pass of the others has its own.
        yield from self.penalty_trainers()

    def trainer_with_methods(self, own: type[JobTrainer]) -> type[JobTrainer]:
        """A Trainer that trains by the methods too, and knows its arguments for them.

        Args:
            own: that of the task. Those of methods call it as their superclass.
        """
        # Two methods may call an argument by one name.
        found = [
            type(one.__name__, (one,), {"__init__": partialmethod(one.__init__, **arguments), "__module__": __name__})
            for one, arguments in self.method_trainers()
        ]
        if not found:
            return own
        return type(own.__name__, (*found, own), {"__doc__": own.__doc__, "__module__": own.__module__})
