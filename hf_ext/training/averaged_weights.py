"""An exponential moving average of the weights, which is what is evaluated and saved (kexue.fm/archives/6575)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_ext.training.sharding import divides_weights

_STATE = "averaged_weights"


class EMACallback(TrainerCallback):
    """Averages what learns, after each step of the optimiser, and puts the averages in for evaluations and checkpoints.

    As in bert4keras an average begins at 0, ``a = decay a + (1 - decay) w``, and is divided by ``1 - decay^t`` where it
    is used, so after t steps it is a mean of their weights. After training the model has the averages, or with
    ``load_best_model_at_end`` those that were evaluated best.

    The averages are part of the optimiser's state, and so is, in a checkpoint whose model has the averages, what
    training goes on from. A resumed run goes on exactly.

    Args:
        decay: in (0, 1).

    Raises:
        ValueError: if it is not; when training begins, if the weights are divided among processes, or it is to go on
            from a checkpoint without averages.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"ema_decay must be above 0 and below 1, got {decay}")
        self.decay = decay
        self._weights: dict[str, nn.Parameter] = {}
        self._optimizer: Any = None

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        optimizer: Any = None,
        **kwargs: Any,
    ) -> None:
        """Begin, or go on from what a checkpoint keeps."""
        assert model is not None
        if divides_weights(args):
            raise ValueError(f"ema_decay must be left out where fsdp or deepspeed divide the weights, got {self.decay}")
        # Accelerate wraps optimisers.
        self._optimizer = getattr(optimizer, "optimizer", optimizer)
        self._weights = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        if state.global_step == 0:
            zeros = {n: torch.zeros_like(p, dtype=torch.promote_types(p.dtype, torch.float32)) for n, p in self._all()}
            self._optimizer.state[_STATE] = {"steps": torch.zeros((), dtype=torch.int64), "averages": zeros}
            return
        if _STATE not in self._optimizer.state:
            raise ValueError(
                "resume_from_checkpoint must be a checkpoint with averages to go on with ema_decay, got one of step "
                f"{state.global_step} without them"
            )
        kept = self._kept
        if kept["averages"].keys() != self._weights.keys():
            names = ", ".join(sorted(kept["averages"].keys() ^ self._weights.keys()))
            raise ValueError(f"resume_from_checkpoint must have averages of what learns, got others: {names}")
        for name, parameter in self._all():
            kept["averages"][name] = kept["averages"][name].to(parameter.device)
        self._take_out()

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Go on from the weights of the last step."""
        self._take_out()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Average, and put the averages in where something is to be evaluated or saved."""
        kept = self._kept
        kept["steps"] += 1
        with torch.no_grad():
            for name, parameter in self._all():
                average = kept["averages"][name]
                average.lerp_(parameter.to(average.dtype), 1 - self.decay)
        self._put_in_where_used(control)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The same at the end of an epoch."""
        self._put_in_where_used(control)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the averages in the model, or the best of them, and let go of the rest."""
        if not args.load_best_model_at_end or state.best_model_checkpoint is None:
            self._put_in()
        self._optimizer.state.pop(_STATE, None)
        self._weights, self._optimizer = {}, None

    @property
    def _kept(self) -> dict[str, Any]:
        kept: dict[str, Any] = self._optimizer.state[_STATE]
        return kept

    def _all(self) -> Any:
        return self._weights.items()

    def _put_in_where_used(self, control: TrainerControl) -> None:
        if control.should_evaluate or control.should_save or control.should_training_stop:
            self._put_in()

    def _put_in(self) -> None:
        kept = self._kept
        steps = int(kept["steps"])
        if "weights" in kept or not steps:
            return
        kept["weights"] = {name: parameter.detach().clone() for name, parameter in self._all()}
        self._write({name: average / (1 - self.decay**steps) for name, average in kept["averages"].items()})

    def _take_out(self) -> None:
        weights = self._kept.pop("weights", None)
        if weights is not None:
            self._write(weights)

    @torch.no_grad()
    def _write(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self._all():
            parameter.copy_(values[name])
