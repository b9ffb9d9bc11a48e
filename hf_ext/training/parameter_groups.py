"""Separate learning rates for parts of a model, with any optimiser of Trainer."""

from collections.abc import Iterable
from typing import Any

from torch import nn
from transformers import Trainer, TrainingArguments

from hf_ext.training.head_learning_rate import transitions
from hf_ext.transformers_private import decaying_parameters


def head_optimizer(
    model: nn.Module, arguments: TrainingArguments, multiplier: float | None = None
) -> tuple[Any, dict[str, Any]]:
    """An optimiser under which the transitions of a CRF or MEMM learn faster (kexue.fm/archives/7196).

    Trainer does so by itself (:class:`hf_ext.training.head_learning_rate.HeadLearningRate`). This is for loops of your
    own, for another factor, and where the optimiser must know the groups from the beginning, as DeepSpeed's must. Use
    it as ``Trainer(model, arguments, optimizer_cls_and_kwargs=head_optimizer(model, arguments))``: the optimiser is
    the one that ``arguments`` name, schedules multiply all rates alike, and weight decay is Trainer's.

    Args:
        model: the model.
        arguments: of the training.
        multiplier: factor of the learning rate; None: the model's ``config.head_lr_multiplier``.

    Raises:
        ValueError: if the factor is not positive, the model has no transitions that learn, or the optimiser chooses its
            parameters itself.
    """
    if multiplier is None:
        multiplier = getattr(getattr(model, "config", None), "head_lr_multiplier", 1.0)
    if not multiplier > 0:
        raise ValueError(f"multiplier must be positive, got {multiplier}")
    kind, options = Trainer.get_optimizer_cls_and_kwargs(arguments, model)  # type: ignore[arg-type]
    if not isinstance(kind, type) or not {"params", "model", "optimizer_dict"}.isdisjoint(options):
        raise ValueError(f"optim must be an optimiser that takes groups of parameters, got {arguments.optim}")
    fast = transitions(model)
    groups = parameter_groups(model, fast, arguments.learning_rate, arguments.weight_decay, multiplier)
    if not fast and multiplier != 1:
        raise ValueError("model must have transitions that learn, got none")
    return kind, {**options, "params": groups}


def parameter_groups(
    model: nn.Module, fast: Iterable[int], learning_rate: float, weight_decay: float, multiplier: float
) -> list[dict[str, Any]]:
    """Groups for an optimiser, those without parameters left out.

    Args:
        model: the model.
        fast: ``id`` of each parameter whose rate is multiplied.
        learning_rate: of the others.
        weight_decay: of the parameters that Trainer lets decay: no biases and no norms.
        multiplier: factor of the learning rate.
    """
    decaying = decaying_parameters(model)
    chosen = set(fast)
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((name in decaying, id(parameter) in chosen), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": weight_decay if decays else 0.0,
            "lr": learning_rate * (multiplier if is_fast else 1.0),
            # Marks the rate as final.
            **({"head_lr_multiplier": multiplier} if is_fast else {}),
        }
        for (decays, is_fast), parameters in groups.items()
    ]
