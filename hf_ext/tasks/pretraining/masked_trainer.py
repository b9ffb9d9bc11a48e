"""Trainer of masked tokens, which asks the head over the vocabulary for these alone."""

from typing import Any

from torch import Tensor, nn

from hf_ext.tasks.base.asked_places import head_at, predicts_by_place
from hf_ext.tasks.pretraining.packed_rows import IGNORED
from hf_ext.training.stream_trainer import StreamTrainer


class MaskedTokensTrainer(StreamTrainer):
    """`StreamTrainer` whose loss is made of the logits of masked tokens, and not of all.

    Loss and gradients are those of all logits. Where the head cannot run at some places alone, which is tried out, or
    would be compiled or copied for each batch, all logits are made.

    Args:
        *args: Trainer's.
        **kwargs: Trainer's; ``model`` predicts tokens at their own places.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.asks_places = self.args.n_gpu <= 1 and not self.args.torch_compile and predicts_by_place(self.model)

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], *rest: Any, **kwargs: Any
    ) -> Tensor | tuple[Tensor, Any]:
        """As Trainer's; in training from the places that are asked for."""
        if not (model.training and self.asks_places):
            return super().compute_loss(model, inputs, *rest, **kwargs)
        labels = inputs["labels"]
        rows, columns = (labels != IGNORED).nonzero(as_tuple=True)
        asked = {**inputs, "labels": labels[rows, columns][None]}
        with head_at(self.accelerator.unwrap_model(model), rows, columns):
            return super().compute_loss(model, asked, *rest, **kwargs)
