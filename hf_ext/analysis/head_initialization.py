"""A head over classes that begins where a closed form ends (kexue.fm/archives/8578)."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from hf_ext.analysis.analytic_classifier import SHRINK_BY_SIZE, AnalyticClassifier, ClassSums
from hf_ext.modules.evaluation_mode import evaluation_mode


def initialize_head_(
    model: PreTrainedModel,
    dataset: Iterable[Mapping[str, Any]],
    shrinkage: float | str = SHRINK_BY_SIZE,
) -> PreTrainedModel:
    """Set the last layer of a classifier of texts or tokens to the closed form for what comes in, as the model is.

    Fine-tuning then begins with a head that knows the classes. What is below the layer, an untrained dense layer of
    some heads among it, stays as it is. A class without examples begins with no weights, as likely as by half an
    example.

    Args:
        model: such as those of ``AutoModelForSequenceClassification`` and ``AutoModelForTokenClassification``; changed
            in place.
        dataset: batches as the model takes them, with ``labels``: class ids ``[B]`` or ``[B, L]``, -100 left out; such
            as a data loader. Run through once, without dropout.
        shrinkage: of :meth:`AnalyticClassifier.from_sums`.

    Returns:
        The model.

    Raises:
        ValueError: if there is no layer of ``num_labels`` outputs with a bias, there are fewer than two classes, texts
            have any number of them, or labels and what comes into the layer do not fit.
    """
    config, classes = model.config, model.config.num_labels or 0
    if classes < 2 or getattr(config, "problem_type", None) in ("regression", "multi_label_classification"):
        wanted = "num_labels must be at least 2, with one class each"
        raise ValueError(f"{wanted}, got {classes} and problem_type={getattr(config, 'problem_type', None)!r}")
    layers = [one for one in model.modules() if isinstance(one, nn.Linear) and one.out_features == classes]
    if not layers or layers[-1].bias is None:
        raise ValueError(
            f"model must have a linear layer of {classes} outputs with a bias, got {type(model).__name__} without one"
        )
    layer, seen = layers[-1], []
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    sums = None
    try:
        with evaluation_mode(model), torch.no_grad():
            for batch in dataset:
                if batch.get("labels") is None:
                    raise ValueError(f"dataset must be batches with labels, got {', '.join(batch)}")
                seen.clear()
                model(**{name: _to(value, model.device) for name, value in batch.items() if name != "labels"})
                labels = torch.as_tensor(batch["labels"]).to(model.device)
                if not seen or seen[-1].shape[:-1] != labels.shape:
                    came = list(seen[-1].shape) if seen else "nothing"
                    raise ValueError(f"labels must fit what comes into the layer, got {list(labels.shape)} and {came}")
                part = ClassSums.of(seen[-1].flatten(0, -2), labels.flatten(), classes)
                sums = part if sums is None else sums + part
    finally:
        hook.remove()
    if sums is None:
        raise ValueError("dataset must have at least one batch, got none")
    empty = math.log(0.5 / max(float(sums.counts.sum()), 1))
    found = AnalyticClassifier.from_sums(sums, shrinkage=shrinkage, empty_score=empty)
    with torch.no_grad():
        layer.weight.copy_(found.weight)
        layer.bias.copy_(found.bias)
    return model


def _to(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value
