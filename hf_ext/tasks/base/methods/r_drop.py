"""The option of R-Drop."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from transformers import Trainer

from hf_ext.losses.rows import check_at_least
from hf_ext.tasks.base.option import METHODS, option
from hf_ext.training.divergences import Divergence, output_divergence
from hf_ext.training.r_drop import RDropTrainer


@dataclass(kw_only=True)
class RDropOptions:
    """Two passes under dropout that are to agree."""

    r_drop: float | None = option(
        "Run each batch twice under dropout, and weight by this how far both are apart (R-Drop); 4 in the original.",
        None,
        group=METHODS,
    )

    divergence: ClassVar[Divergence] = staticmethod(output_divergence)
    """How far two passes of the task's model are apart; see `hf_ext.training.r_drop.RDropTrainer`."""

    def check_r_drop(self) -> None:
        """Raise ValueError if its weight is negative."""
        if self.r_drop is not None:
            check_at_least("r_drop", self.r_drop, 0)

    def r_drop_trainers(self) -> Iterator[tuple[type[Trainer], dict[str, Any]]]:
        """Its Trainer, with its arguments."""
        if self.r_drop is not None:
            yield RDropTrainer, {"alpha": self.r_drop, "divergence": type(self).divergence}
