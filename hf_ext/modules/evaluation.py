"""Running a model in evaluation wherever it is in its training."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from hf_ext.ops.padding import padded_on_the_right


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation, and what was in training back behind it."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


class EvaluatingPipeline:
    """Mixin of a pipeline: the model runs without dropout, and on rows that begin with their first real token.

    A pipeline is made of a model in training, or its model trained further; and tokenizers may pad on the left, which
    shifts positions and whatever counts them.
    """

    model: Any

    def forward(self, model_inputs: Any, **options: Any) -> Any:
        """As the pipeline's own."""
        with evaluating(self.model):
            return super().forward(padded_on_the_right(model_inputs), **options)  # type: ignore[misc]
