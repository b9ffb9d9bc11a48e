"""Runs a model as in evaluation for a while, or in training but for dropout."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Run a model without dropout, and leave each of its modules in the mode that it was in.

    A model is in training mode after it was trained, until someone changes that.
    """
    training = [module for module in model.modules() if module.training]
    if training:
        model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def without_dropout(model: nn.Module) -> Iterator[None]:
    """Run a model as in training, but without dropout, and leave each of its modules in the mode that it was in.

    The model itself stays in training, so that a head of ours decodes nothing, and layers go on to save memory by
    running again in the backward pass, which has to run in this context too. A layer that drops out by a number of its
    own, and not by a module, is run without saving memory.

    Args:
        model: the model, or one with adapters around it.
    """
    inner: Any = model
    kept = {model, inner.get_base_model()} if hasattr(model, "get_base_model") else {model}
    stopped = [module for module in model.modules() if module.training and module not in kept and _may_stop(module)]
    for module in stopped:
        module.training = False
    try:
        yield
    finally:
        for module in stopped:
            module.training = True


def _may_stop(module: nn.Module) -> bool:
    if not getattr(module, "gradient_checkpointing", False):
        return True
    return any("dropout" in name and isinstance(value, float) and value > 0 for name, value in vars(module).items())
