"""Trainer whose optimiser is that of the articles' benchmarks."""

from dataclasses import fields
from typing import Any

from transformers import Trainer, TrainingArguments

from hf_ext.training.unfactored_adafactor import UnfactoredAdafactor

ARTICLE_ARGUMENTS: dict[str, Any] = {
    "learning_rate": 5e-4,
    "lr_scheduler_type": "constant",
    "warmup_steps": 0,
    "weight_decay": 0.0,
    # It bounds its steps itself.
    "max_grad_norm": 0.0,
}
"""Training arguments with which the articles' benchmarks use their optimiser."""

OTHER_OPTIMIZERS = (
    "optim",
    "optim_args",
    "optim_target_modules",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
)
"""Training arguments that choose another optimiser or are of one."""


class ArticleOptimizerTrainer(Trainer):
    """Trainer whose optimiser is an `UnfactoredAdafactor`, at the learning rate and by the schedule of its arguments.

    ``ARTICLE_ARGUMENTS`` are those of the articles. Groups that an ``optimizer_cls_and_kwargs`` has keep their rates.

    Args:
        count_micro_steps: whether each micro-batch of an accumulated gradient counts as a step in the second moment's
            decay, as in the original.
        *args: Trainer's.
        **kwargs: Trainer's; without ``optimizers``.

    Raises:
        ValueError: if ``args`` choose another optimiser, or weights are divided among processes.
    """

    def __init__(self, *args: Any, count_micro_steps: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.optimizer is not None:
            raise ValueError(
                f"optimizers must be left out with the articles' optimiser, got a {type(self.optimizer).__name__}"
            )
        defaults = {one.name: one.default for one in fields(TrainingArguments)}
        for name in OTHER_OPTIMIZERS:
            seen = getattr(self.args, name)
            if seen != defaults[name]:
                # Of an enumeration.
                seen = getattr(seen, "value", seen)
                raise ValueError(f"{name} must be left out with the articles' optimiser, got {seen}")
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            raise ValueError(
                "the articles' optimiser goes by the size of whole weights, got FSDP or DeepSpeed, which may shard them"
            )
        options: dict[str, Any] = {"lr": self.args.learning_rate}
        if count_micro_steps:
            options["micro_steps"] = self.args.gradient_accumulation_steps
        _, given = self.optimizer_cls_and_kwargs or (None, {})
        options |= {name: value for name, value in given.items() if name == "params"}
        self.optimizer_cls_and_kwargs = UnfactoredAdafactor, options
