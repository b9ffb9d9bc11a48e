"""What tests compare of a model: the tensors of its outputs, and its gradients."""

import math

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.utils import ModelOutput


def tensors(output: ModelOutput) -> dict[str, Tensor]:
    """The tensors of an output but the loss, by name; no caches and tuples, but for scores of several kinds."""
    found = {name: value for name, value in output.items() if isinstance(value, Tensor) and name != "loss"}
    if isinstance(scores := output.get("logits"), tuple):
        found |= {f"logits of kind {number}": value for number, value in enumerate(scores)}
    return found


def finite_tensors(output: ModelOutput) -> dict[str, Tensor]:
    """The numbers of an output, without the spans that the span head leaves out."""
    return {name: value[value > -torch.inf] for name, value in tensors(output).items() if value.is_floating_point()}


def real_tensors(output: ModelOutput, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of an output, of those with a row for each token ``[B, L, ...]`` the real tokens alone."""
    if "attention_mask" not in batch:
        return tensors(output)
    real = batch["attention_mask"].bool()
    return {
        name: value[real] if value.shape[: real.dim()] == real.shape else value
        for name, value in tensors(output).items()
    }


def gradients(model: PreTrainedModel) -> dict[str, Tensor]:
    """The gradients so far, which are then cleared."""
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    assert math.fsum(float(g.abs().sum()) for g in found.values()) > 0
    return found
