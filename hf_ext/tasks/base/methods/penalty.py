"""The options of penalties."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from transformers import Trainer

from hf_ext.losses.rows import check_positive
from hf_ext.tasks.base.option import METHODS, option
from hf_ext.training.penalty import PENALTIES, PenaltyTrainer, penalty_of_name


@dataclass(kw_only=True)
class PenaltyOptions:
    """A penalty of weights, or of what modules give."""

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

    def check_penalty(self) -> None:
        """Raise ValueError for options that have no effect or are missing, or a value that does not fit."""
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
        self._function(self.penalty)

    def penalty_trainers(self) -> Iterator[tuple[type[Trainer], dict[str, Any]]]:
        """Its Trainer, with its arguments."""
        if self.penalty is not None:
            penalties = {self.penalty_pattern: self._function(self.penalty)}
            yield PenaltyTrainer, {"penalties": penalties, "penalty_weight": self.penalty_weight}

    def _function(self, penalty: str) -> Any:
        options = {name.replace("-", "_"): value for name, value in self.penalty_options.items()}
        return penalty_of_name(penalty, **options)
