"""Residual branches that grow into a new model, by a fixed step to their whole (kexue.fm/archives/8620)."""

import re
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.pytorch_utils import Conv1D

from hf_ext.losses.rows import check_at_least

BRANCH_ENDS = r".*\.\d+\..*\b(output\.dense|o_dense|c_proj|o_proj|out_proj|down_proj|proj|fc2|o|wo)"
"""Names of the last layer of a branch in blocks that are numbered: BERT's and its kin, GPT's, T5's, LLaMA's, ViT's."""

_BUFFER = "residual_alpha"


class ResidualRamp(TrainerCallback):
    """Multiplies what each residual branch adds by alpha, which grows by ``1 / steps`` a step to 1 and stays.

    ``x + alpha F(x)``: a block begins as the identity, or under a norm behind it as that norm. Unlike ReZero's, alpha
    is not learnt. It is a buffer ``residual_alpha`` of the last layer of each branch, so that a checkpoint within the
    ramp holds it; only a run that is resumed reads it. When training has ended it is multiplied into these layers, by
    the alpha of the model that is kept, and the model is a plain one. For models from scratch: what is pre-trained
    would be lost.

    Args:
        steps: of the optimiser until alpha is 1.
        start: alpha of the first step.
        pattern: regular expression of the whole names of the last linear layer of each branch.

    Raises:
        ValueError: if ``steps`` is less than 1 or ``start`` not in [0, 1), the pattern matches no module or one that is
            not linear, or training is to end before alpha is 1.
    """

    def __init__(self, steps: int, start: float = 0.0, pattern: str = BRANCH_ENDS) -> None:
        check_at_least("steps", steps, 1)
        if not 0 <= start < 1:
            raise ValueError(f"start must be in [0, 1), got {start!r}")
        self.steps = steps
        self.start = start
        self.pattern = pattern
        self.ends: dict[str, Any] = {}
        self._hooks: list[Any] = []

    def alpha(self, step: int) -> float:
        """The factor in the step after as many as ``step``."""
        return min(1.0, self.start + step / self.steps)

    def attach(self, model: nn.Module) -> None:
        """Put alpha into a model; a Trainer that is given the callback does so when it is made."""
        if self._hooks:
            return
        self.ends = {name: one for name, one in model.named_modules() if re.fullmatch(self.pattern, name)}
        if not self.ends:
            raise ValueError(f"pattern must match the last layers of residual branches, got {self.pattern!r}, none")
        for name, module in self.ends.items():
            if not isinstance(module, nn.Linear | Conv1D):
                kind = type(module).__name__
                raise ValueError(
                    f"pattern must match linear layers, got {self.pattern!r}, which matches {name}, a {kind}"
                )
        for module in self.ends.values():
            device = module.weight.device
            module.register_buffer(_BUFFER, torch.tensor(self.alpha(0), dtype=torch.float32, device=device))
            self._hooks.append(module.register_forward_hook(_scaled))

    def detach(self) -> None:
        """Multiply alpha into the layers, and leave a plain model."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        for module in self.ends.values():
            alpha = float(getattr(module, _BUFFER))
            delattr(module, _BUFFER)
            if alpha != 1:
                with torch.no_grad():
                    for parameter in module.parameters(recurse=False):
                        parameter.mul_(alpha)

    def on_init_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        """Put alpha into the model, before a checkpoint is read into it."""
        assert model is not None
        self.attach(model)

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        """See to it that alpha is there and comes to its end."""
        assert model is not None
        if self.alpha(state.max_steps) < 1:
            raise ValueError(
                f"steps of the ramp must be at most the {state.max_steps} of the training, so that the model becomes a "
                f"plain one, got {self.steps}"
            )
        # A callback that is added later, or a second training.
        self.attach(model)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Set alpha of the step."""
        for module in self.ends.values():
            getattr(module, _BUFFER).fill_(self.alpha(state.global_step))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave a plain model; where the best one is loaded, by its own alpha."""
        self.detach()


def _scaled(module: Any, args: Any, output: Tensor) -> Tensor:
    return output * getattr(module, _BUFFER).to(output.dtype)
