"""Ways of training that any task may be given, each by options of every ``hf-ext train`` that stand here alone."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar

from torch import nn
from transformers import Trainer, TrainerCallback

from hf_ext.losses.rows import check_at_least, check_positive
from hf_ext.modules.initialization import SCHEMES, initialize_
from hf_ext.tasks.base.option import option
from hf_ext.training.job_trainer import JobTrainer
from hf_ext.training.penalty import PENALTIES, PenaltyTrainer, penalty_of_name
from hf_ext.training.r_drop import Divergence, RDropTrainer, output_divergence
from hf_ext.training.residual_ramp import ResidualRamp

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
    penalty: str | None = option(
        "Penalise weights or what modules give: vectors that are not orthogonal, or WEISSI.",
        None,
        group=METHODS,
        choices=PENALTIES,
    )
    penalty_weight: float | None = option("Weight of the penalty's sum in the loss.", None, group=METHODS)
    penalty_pattern: str | None = option(
        "Regular expression of the whole names of the parameters that are penalised, or for self_orthogonality of the "
        r"modules: .*\.(value|output\.dense)\.weight.",
        None,
        group=METHODS,
    )
    penalty_options: Mapping[str, Any] = option(
        "Of the penalty's function, as sparsity=0.01; may be given several times.",
        group=METHODS,
        aliases=["--penalty-option"],
        default_factory=dict,
    )
    initialization: str | None = option(
        "How the weights of a model from scratch are drawn, by deepnorm also how its residuals are weighted; else as "
        "its family says.",
        None,
        group=METHODS,
        choices=SCHEMES,
    )
    residual_ramp: int | None = option(
        "Let the residual branches of a model from scratch grow from nothing to their whole in so many steps.",
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
        self._check_penalty()
        for name in ("initialization", "residual_ramp"):
            if getattr(self, name) is not None and getattr(self, "model", None) is not None:
                raise ValueError(
                    f"{name} must be left out with a model that is trained already, which it would spoil, got "
                    f"{getattr(self, name)!r}"
                )
        if self.initialization not in (None, *SCHEMES):
            raise ValueError(f"initialization must be one of {', '.join(SCHEMES)}, got {self.initialization!r}")
        # Made, it checks its number.
        self.method_callbacks()

    def _check_penalty(self) -> None:
        given = {name: getattr(self, name) for name in ("penalty_weight", "penalty_pattern", "penalty_options")}
        for name, value in given.items():
            if self.penalty is None and value not in (None, {}):
                raise ValueError(f"{name} has no effect without penalty, got {value!r}; leave it out or add penalty")
            if self.penalty is not None and value is None:
                raise ValueError(f"{name} must be given with penalty, got penalty={self.penalty!r} alone")
        if self.penalty is None:
            return
        assert self.penalty_weight is not None
        assert self.penalty_pattern is not None
        check_positive("penalty_weight", self.penalty_weight)
        try:
            re.compile(self.penalty_pattern)
        except re.error as error:
            raise ValueError(
                f"penalty_pattern must be a regular expression, got {self.penalty_pattern!r}: {error}"
            ) from None
        self._penalty()

    def _penalty(self) -> Any:
        assert self.penalty is not None
        options = {name.replace("-", "_"): value for name, value in self.penalty_options.items()}
        return penalty_of_name(self.penalty, **options)

    def methods_given(self) -> list[str]:
        """The options of methods that have another value than by default."""
        options = [one for one in fields(self) if one.metadata.get("group") == METHODS]
        defaults = {
            one.name: one.default if one.default_factory is MISSING else one.default_factory() for one in options
        }
        return [name for name, default in defaults.items() if getattr(self, name) != default]

    def begin(self, model: nn.Module) -> None:
        """Give a new model the weights that a method begins with."""
        if self.initialization is not None:
            initialize_(model, self.initialization)

    def method_callbacks(self) -> list[TrainerCallback]:
        """The callbacks of the methods."""
        return [] if self.residual_ramp is None else [ResidualRamp(self.residual_ramp)]

    def method_trainers(self) -> Iterator[tuple[type[Trainer], dict[str, Any]]]:
        """The Trainers of the methods with their arguments, the one around all others first."""
        if self.r_drop is not None:
            yield RDropTrainer, {"alpha": self.r_drop, "divergence": type(self).divergence}
        # The last: each pass of the others has its own.
        if self.penalty is not None:
            penalties = {self.penalty_pattern: self._penalty()}
            yield PenaltyTrainer, {"penalties": penalties, "penalty_weight": self.penalty_weight}

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
