"""Separate learning rates for parts of a model, with any optimiser of Trainer."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer
from transformers import Trainer, TrainingArguments

from hf_ext.training.head_learning_rate import transitions
from hf_ext.training.layer_stack import distances_from_output
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


def learning_rate_factors(
    model: nn.Module, layer_decay: float | None = None, multipliers: Mapping[str, float] | None = None
) -> dict[str, float]:
    """What the learning rate of each parameter that learns is multiplied by, by its name; all factors that apply are.

    Args:
        model: the model; there may be an adapter around it.
        layer_decay: factor from each layer to the one below it: 1 for the head, the factor itself for the last of L
            layers, and its power L + 1 for the embeddings; None: 1 (ELECTRA, arXiv 2003.10555, with a power less).
        multipliers: factor by a part of a parameter's name, in which ``*`` stands for anything; of several parts that
            a name has, all factors count, as in bert4keras.

    Raises:
        ValueError: if a factor is not positive, ``layer_decay`` above 1, a part is in no name, or the model has not one
            stack of layers to decay by.
    """
    check_learning_rates(layer_decay, multipliers)
    learning = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    factors = dict.fromkeys(learning, 1.0)
    if layer_decay is not None:
        distances = distances_from_output(model)
        factors = {name: layer_decay ** distances[id(parameter)] for name, parameter in learning.items()}
    for part, factor in (multipliers or {}).items():
        pattern = re.compile(".*".join(map(re.escape, part.split("*"))))
        found = [name for name in factors if pattern.search(name)]
        if not found:
            raise ValueError(f"learning_rate_multipliers must have parts of names of parameters, got {part!r}")
        for name in found:
            factors[name] *= factor
    return factors


def check_learning_rates(layer_decay: float | None, multipliers: Mapping[str, float] | None) -> None:
    """Raise ValueError if ``layer_decay`` is not in (0, 1], or a factor of ``multipliers`` not a positive number."""
    if layer_decay is not None and not 0 < layer_decay <= 1:
        raise ValueError(f"layer_decay must be above 0 and at most 1, got {layer_decay}")
    for part, factor in (multipliers or {}).items():
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor < float("inf"):
            raise ValueError(f"learning_rate_multipliers must have positive factors, got {part}={factor}")


def split_by_factor(optimizer: Optimizer, model: nn.Module, factors: Mapping[str, float]) -> None:
    """Split the groups of an optimiser, before its first step, by what their learning rate is to be multiplied by.

    A group says its factor under ``"learning_rate_factor"``; those of factor 1 stand first, as logs have the rate of
    the first group.

    Args:
        optimizer: over parameters of the model.
        model: that has them.
        factors: by the name of each parameter.

    Raises:
        ValueError: if it does not hold the model's parameters as they are, or has no learning rate of its own.
    """
    of_parameter = {id(parameter): factors.get(name) for name, parameter in model.named_parameters()}
    groups: list[dict[str, Any]] = []
    for group in optimizer.param_groups:
        by_factor: dict[float, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            factor = of_parameter.get(id(parameter))
            if factor is None or group.get("lr") is None:
                raise ValueError(
                    "optim must be an optimiser of the model's parameters by a learning rate, got a "
                    f"{type(optimizer).__name__} of others or without a rate"
                )
            by_factor.setdefault(factor, []).append(parameter)
        for factor, parameters in by_factor.items():
            own = {"params": parameters, "lr": group["lr"] * factor, "learning_rate_factor": factor}
            groups.append({**group, **own})
    optimizer.param_groups[:] = sorted(groups, key=lambda group: group["learning_rate_factor"] != 1)
