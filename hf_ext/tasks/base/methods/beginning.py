"""The options of how a model from scratch begins."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from transformers import TrainerCallback

from hf_ext.losses.rows import check_at_least
from hf_ext.modules.initialization import SCHEMES, initialize_
from hf_ext.tasks.base.option import METHODS, option
from hf_ext.training.residual_ramp import ResidualRamp


@dataclass(kw_only=True)
class BeginningOptions:
    """Weights that are drawn by a scheme, and residual branches that grow."""

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

    def check_beginning(self) -> None:
        """Raise ValueError for a model that is trained already, or a value that does not fit."""
        for name in ("initialization", "residual_ramp"):
            if getattr(self, name) is not None and getattr(self, "model", None) is not None:
                raise ValueError(
                    f"{name} must be left out with a model that is trained already, which it would spoil, got "
                    f"{getattr(self, name)!r}"
                )
        if self.initialization not in (None, *SCHEMES):
            raise ValueError(f"initialization must be one of {', '.join(SCHEMES)}, got {self.initialization!r}")
        if self.residual_ramp is not None:
            check_at_least("residual_ramp", self.residual_ramp, 1)

    def begin(self, model: Any) -> None:
        """Give a new model the weights that it begins with."""
        if self.initialization is not None:
            initialize_(model, self.initialization)

    def beginning_callbacks(self) -> Iterator[TrainerCallback]:
        """That of branches that grow."""
        if self.residual_ramp is not None:
            yield ResidualRamp(self.residual_ramp)
