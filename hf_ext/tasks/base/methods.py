"""Ways of training that any task may be given, each by options of every ``hf-ext train`` that stand here alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from transformers import Trainer

from hf_ext.losses.rows import check_at_least
from hf_ext.tasks.base.option import option
from hf_ext.training.job_trainer import JobTrainer
from hf_ext.training.r_drop import Divergence, RDropTrainer, output_divergence

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

    def methods_given(self) -> list[str]:
        """The options of methods that have another value than by default."""
        options = [one for one in fields(self) if one.metadata.get("group") == METHODS]
        return [one.name for one in options if getattr(self, one.name) != one.default]

    def method_trainers(self) -> Iterator[tuple[type[Trainer], dict[str, Any]]]:
        """The Trainers of the methods with their arguments, the one around all others first."""
        if self.r_drop is not None:
            yield RDropTrainer, {"alpha": self.r_drop, "divergence": type(self).divergence}

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
