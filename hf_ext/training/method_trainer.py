"""What Trainers have in common that change how a loss is made."""

from inspect import signature
from typing import Any

from torch import Tensor, nn
from transformers import Trainer


class MethodTrainer(Trainer):
    """Trainer that makes more of a loss than the model does; a subclass says what."""

    def bare(self, model: nn.Module | None) -> Any:
        """The model without what exchanges gradients between processes, but with adapters and autocast."""
        return self.accelerator.unwrap_model(model)

    def asking_for_logits(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The inputs, and for our heads, which make no logits in training unless asked to, that they are to."""
        model = self.bare(self.model)
        # An adapter takes any argument.
        model = model.get_base_model() if hasattr(model, "get_base_model") else model
        return inputs | {"output_logits": True} if "output_logits" in signature(model.forward).parameters else inputs

    def is_of_whole_step(self, num_items_in_batch: Tensor | int | None) -> bool:
        """Whether Trainer takes losses for parts of that of all micro-batches of a step, and not for means of one."""
        if self.loss_is_scaled_for_ga is not None:
            return bool(self.loss_is_scaled_for_ga)
        return (self.model_accepts_loss_kwargs and num_items_in_batch is not None) or self.compute_loss_func is not None


def logits_of(outputs: Any) -> Any:
    """The logits of what a model returns: a tensor, or several.

    Raises:
        ValueError: if there are none.
    """
    if not isinstance(outputs, dict) or outputs.get("logits") is None:
        raise ValueError(f"model must return logits in training, got {type(outputs).__name__} without them")
    return outputs["logits"]
