"""The options of low-rank adapters."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from transformers import Trainer

from hf_ext.losses.rows import check_at_least, check_positive
from hf_ext.tasks.base.option import METHODS, option


@dataclass(kw_only=True)
class LoraOptions:
    """Adapters that learn in the place of the weights."""

    lora: int | None = option(
        "Train adapters of this rank of the model's layers, and its head, in the place of all weights; the saved "
        "model has them merged into it (LoRA).",
        None,
        group=METHODS,
    )
    lora_alpha: float | None = option(
        "With lora: adapters are multiplied by this over their rank; else twice the rank.", None, group=METHODS
    )

    def check_lora(self) -> None:
        """Raise ValueError for an option without effect, a value that does not fit, or weights that are random."""
        if self.lora is None:
            if self.lora_alpha is not None:
                raise ValueError(f"lora_alpha goes with lora, got {self.lora_alpha} without it")
            return
        check_at_least("lora", self.lora, 1)
        if self.lora_alpha is not None:
            check_positive("lora_alpha", self.lora_alpha)
        if getattr(self, "model", None) is None:
            raise ValueError(f"lora goes with model, which is trained already, got {self.lora} without it")

    def lora_trainers(self) -> Iterator[tuple[type[Trainer], dict[str, Any]]]:
        """Its Trainer, with its arguments."""
        if self.lora is not None:
            # PEFT, which not every run needs, takes its time.
            from hf_ext.training.lora import LoraTrainer

            yield LoraTrainer, {"rank": self.lora, "alpha": self.lora_alpha}
