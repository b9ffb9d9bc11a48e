"""R-Drop for any model of Trainer: two passes under dropout should agree (arXiv 2106.14448; kexue.fm/archives/8496)."""

from typing import Any

import torch
from torch import Tensor, nn

from hf_ext.losses.rows import check_at_least
from hf_ext.training.divergences import Divergence, output_divergence
from hf_ext.training.method_trainer import MethodTrainer, logits_of


class RDropTrainer(MethodTrainer):
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
        given = self.asking_for_logits(inputs)
        # Trainer takes the labels out of what it is given.
        passes = [super(RDropTrainer, self).compute_loss(model, {**given}, True, num_items_in_batch) for _ in range(2)]
        (first_loss, outputs), (second_loss, others) = passes
        divergence = self.divergence(logits_of(outputs), logits_of(others), inputs["labels"])
        loss = (first_loss + second_loss) / 2 + self.alpha / 4 * divergence * self._share(inputs, num_items_in_batch)
        return (loss, outputs) if return_outputs else loss

    def _share(self, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None) -> Tensor | float:
        """The factor of losses that are means over a micro-batch, as Trainer has it."""
        if num_items_in_batch is None or not (self.model_accepts_loss_kwargs or self.compute_loss_func):
            return 1.0
        labels = inputs["labels"]
        share = (labels != -100).sum() / torch.as_tensor(num_items_in_batch, device=labels.device)
        if not self.args.average_tokens_across_devices:
            return share
        return share * (self.accelerator.num_processes // self.get_tp_size())
