"""The learning rate of a CRF's or MEMM's transitions under a plain Trainer (kexue.fm/archives/7196)."""

import logging
from typing import Any

from torch import nn
from torch.optim import Optimizer
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_ext.modules.crf import TagChain

logger = logging.getLogger(__name__)


class HeadLearningRate(TrainerCallback):
    """Makes transitions learn ``config.head_lr_multiplier`` times as fast as the rest of a model.

    Every Trainer has it once ``hf_ext`` is imported; ``trainer.remove_callback(HeadLearningRate)`` takes it out. Models
    without that field, or without transitions, train as usual.

    Transitions have a group of their own in the optimiser while it takes a step, and only then: schedulers and
    checkpoints see the groups that Trainer made, so a run resumes with or without this. Whoever gives transitions a
    group with a rate of its own (as :func:`hf_ext.training.parameter_groups.head_optimizer` does) keeps it.
    """

    def __init__(self) -> None:
        self._multiplier = 1.0
        self._fast: set[int] = set()
        self._hooks: list[Any] = []
        self._whole: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        optimizer: Any = None,
        **kwargs: Any,
    ) -> None:
        """Attach to the optimiser, or warn where it does not know the transitions as they are."""
        self._detach()
        self._multiplier = getattr(getattr(model, "config", None), "head_lr_multiplier", 1.0)
        if model is None or self._multiplier == 1:
            return
        self._fast = transitions(model)
        # Accelerate wraps optimisers.
        optimizer = getattr(optimizer, "optimizer", optimizer)
        groups = optimizer.param_groups
        if not isinstance(optimizer, Optimizer) or not self._fast <= {
            id(p) for group in groups for p in group["params"]
        }:
            logger.warning(
                "head_lr_multiplier=%s has no effect: %s does not hold the transitions as parameters of their own; see "
                "hf_ext.head_optimizer",
                self._multiplier,
                type(optimizer).__name__,
            )
        elif self._fast and not _have_a_rate(groups, self._fast):
            self._hooks = [
                optimizer.register_step_pre_hook(self._split),
                optimizer.register_step_post_hook(self._merge),
            ]

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Let go of the optimiser."""
        self._detach()

    def _detach(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _split(self, optimizer: Optimizer, *_: Any) -> None:
        for group in list(optimizer.param_groups):
            own = {"params": [p for p in group["params"] if id(p) in self._fast], "lr": group["lr"] * self._multiplier}
            if not own["params"]:
                continue
            self._whole.append((group, {"params": group["params"], "lr": group["lr"]}))
            if len(own["params"]) < len(group["params"]):
                optimizer.param_groups.append({**group, **own})
                own = {"params": [p for p in group["params"] if id(p) not in self._fast]}
            group.update(own)

    def _merge(self, optimizer: Optimizer, *_: Any) -> None:
        split = sum(len(group["params"]) < len(whole["params"]) for group, whole in self._whole)
        del optimizer.param_groups[len(optimizer.param_groups) - split :]
        for group, whole in self._whole:
            group.update(whole)
        self._whole = []


def transitions(model: nn.Module) -> set[int]:
    """``id`` of each parameter of a CRF or MEMM that learns."""
    chains = (module for module in model.modules() if isinstance(module, TagChain))
    return {id(parameter) for chain in chains for parameter in chain.parameters() if parameter.requires_grad}


def _have_a_rate(groups: list[dict[str, Any]], fast: set[int]) -> bool:
    if any("head_lr_multiplier" in group for group in groups):
        return True
    own: set[float] = set()
    others: set[float] = set()
    shared = False
    for group in groups:
        # A scheduler that warms up has set the rate itself to 0.
        rate = float(group.get("initial_lr", group["lr"]))
        kinds = {id(parameter) in fast for parameter in group["params"]}
        shared |= len(kinds) > 1
        (own if True in kinds else others).add(rate)
    return not shared and bool(others) and own.isdisjoint(others)
