"""How often modules of a successor take part in training, from step to step (arXiv 2002.02925)."""

from typing import Any

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from hf_ext.training.theseus import Theseus, theseus_of


class ReplacementSchedule(TrainerCallback, ExportableState):
    """Sets the rate of a model with a successor after each step of the optimiser, and draws for each batch.

    Constant, unless ``slope`` or ``steps`` is given. With a rate of 1 the successor is trained alone.

    Draws depend on the seed of the training, the number of the step and that of the batch in it, so a resumed run goes
    on with those of the run without a break, and all processes have the same. Checkpoints keep the schedule.

    Args:
        rate: at first, in (0, 1].
        slope: what is added to it by each step, up to 1; 0.0006 from 0.3 on is what the paper has for MRPC.
        steps: after so many it is 1; below 1, a share of all steps.

    Raises:
        ValueError: if one is out of range, or both ``slope`` and ``steps`` are given; when training begins, if the
            model has no successor, or ``torch_compile`` or one process over several devices is asked for.
    """

    def __init__(self, rate: float = 0.5, slope: float | None = None, steps: float | None = None) -> None:
        if not 0 < rate <= 1:
            raise ValueError(f"rate must be above 0 and at most 1, got {rate}")
        for name, value in (("slope", slope), ("steps", steps)):
            if value is not None and value < 0:
                raise ValueError(f"{name} must be at least 0, got {value}")
        if slope is not None and steps is not None:
            raise ValueError(f"give either slope or steps, got slope={slope} and steps={steps}")
        self.rate, self.slope, self.steps = rate, slope, steps
        self._theseus: Theseus | None = None
        self._batch = 0

    def state(self) -> dict[str, Any]:
        """As a checkpoint keeps it."""
        return {"args": {"rate": self.rate, "slope": self.slope, "steps": self.steps}, "attributes": {}}

    def rate_after(self, step: int, all_steps: int) -> float:
        """The rate after a number of steps of the optimiser, of so many that there are to be."""
        if self.slope is not None:
            return min(1.0, self.slope * step + self.rate)
        if self.steps is None:
            return self.rate
        return self.rate if step < (self.steps if self.steps >= 1 else self.steps * all_steps) else 1.0

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        """Find what trains the successor."""
        self._theseus = None if model is None else theseus_of(model)
        if self._theseus is None:
            raise ValueError(f"model must have a successor (attach_successor), got a {type(model).__name__} without")
        if args.torch_compile:
            raise ValueError(
                "torch_compile must be False while a successor is trained, as layers are exchanged, got True"
            )
        if args.n_gpu > 1:
            raise ValueError(
                f"a successor must be trained by one process a device (torchrun), got one process with {args.n_gpu}"
            )
        self._theseus.seed = args.seed

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Draw for the first batch of a step."""
        assert self._theseus is not None
        self._theseus.rate = self.rate_after(state.global_step, state.max_steps)
        self._batch = 0
        self._theseus.draw(state.global_step, self._batch)

    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Draw for the next batch of a step that accumulates gradients."""
        assert self._theseus is not None
        self._batch += 1
        self._theseus.draw(state.global_step, self._batch)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave draws to the model again."""
        if self._theseus is not None:
            self._theseus.draw_each_pass()
