"""R-Drop for any model of Trainer: two passes under dropout should agree (arXiv 2106.14448; kexue.fm/archives/8496)."""

from collections.abc import Callable
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer

from hf_ext.losses.pointer_divergence import pointer_divergence
from hf_ext.losses.r_drop import symmetric_divergence
from hf_ext.losses.rows import check_at_least
from hf_ext.ops.precision import at_least_float32

Divergence = Callable[[Tensor, Tensor, Tensor], Tensor]


def output_divergence(first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
    """How far two passes are apart, by the kind of labels: a mean over the rows that have one.

    Args:
        first: logits ``[..., C]``.
        second: logits of the same rows under another dropout mask.
        labels: class ids ``[...]``, for the divergence of softmax distributions, or ``[..., C]``, for the sum of those
            of a sigmoid for each class; -100 leaves out. Not shifted: a causal language model needs its own divergence.

    Returns:
        scalar in float32 or better.

    Raises:
        ValueError: if the labels are of another shape, or the logits not one tensor.
    """
    if not isinstance(first, Tensor):
        raise ValueError(f"logits must be one tensor, got {len(first)} of them; give a divergence")
    if labels.shape == first.shape[:-1]:
        counted = labels != -100
        return symmetric_divergence(
            at_least_float32(first).log_softmax(-1), at_least_float32(second).log_softmax(-1), counted
        )
    if labels.shape == first.shape:
        out = labels == -100
        first, second = first.masked_fill(out, 0), second.masked_fill(out, 0)
        # To the divergence of span scores a row of classes is a table of one row.
        sums = pointer_divergence(first.unsqueeze(-2), second.unsqueeze(-2), "sum")
        return sums / (~out).any(-1).sum().clamp(min=1)
    shapes = f"{tuple(first.shape[:-1])} or {tuple(first.shape)}"
    raise ValueError(
        f"labels must have the shape {shapes} of the logits, got {tuple(labels.shape)}; or give a divergence"
    )


class RDropTrainer(Trainer):
    """Trainer that runs the model twice a training step: the mean of both losses plus ``alpha / 4`` times a divergence.

    The loss of a pass is the one that Trainer would take: the model's own or that of ``compute_loss_func``. Evaluation
    is Trainer's. A model without dropout has nothing to gain.

    Args:
        alpha: weight of the divergence, as in the original's code.
        divergence: function of both passes' logits and the labels to a mean over the rows of the micro-batch.
        *args: Trainer's.
        **kwargs: Trainer's.

    Raises:
        ValueError: if ``alpha`` is negative, or, in training, there are no labels or a model returns no logits.
    """

    def __init__(
        self, *args: Any, alpha: float = 4.0, divergence: Divergence = output_divergence, **kwargs: Any
    ) -> None:
        check_at_least("alpha", alpha, 0)
        super().__init__(*args, **kwargs)
        self.alpha = alpha
        self.divergence = divergence

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """As Trainer's, over two passes while the model is in training."""
        if not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if "labels" not in inputs:
            raise ValueError(f"inputs must have labels for R-Drop, got {', '.join(inputs)}")
        given = inputs | {"output_logits": True} if self._makes_logits_on_demand() else inputs
        # Trainer takes the labels out of what it is given.
        passes = [super(RDropTrainer, self).compute_loss(model, {**given}, True, num_items_in_batch) for _ in range(2)]
        (first_loss, outputs), (second_loss, others) = passes
        if not isinstance(outputs, dict) or outputs.get("logits") is None:
            raise ValueError(f"model must return logits in training, got {type(outputs).__name__} without them")
        divergence = self.divergence(outputs["logits"], others["logits"], inputs["labels"])
        loss = (first_loss + second_loss) / 2 + self.alpha / 4 * divergence * self._share(inputs, num_items_in_batch)
        return (loss, outputs) if return_outputs else loss

    def _makes_logits_on_demand(self) -> bool:
        """Whether the model is one of our heads, which make no logits in training unless asked to."""
        model: Any = self.accelerator.unwrap_model(self.model)
        # An adapter takes any argument.
        model = model.get_base_model() if hasattr(model, "get_base_model") else model
        return "output_logits" in signature(model.forward).parameters

    def _share(self, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None) -> Tensor | float:
        """The factor of losses that are means over a micro-batch, as Trainer has it."""
        if num_items_in_batch is None or not (self.model_accepts_loss_kwargs or self.compute_loss_func):
            return 1.0
        labels = inputs["labels"]
        share = (labels != -100).sum() / torch.as_tensor(num_items_in_batch, device=labels.device)
        if not self.args.average_tokens_across_devices:
            return share
        return share * (self.accelerator.num_processes // self.get_tp_size())
