"""Short runs of Trainer over the models of `models_tiny`."""

from pathlib import Path
from typing import Any

from models_tiny import Case
from torch import Tensor
from transformers import Trainer, TrainingArguments


def labelled(case: Case, lengths: list[int]) -> dict[str, Tensor]:
    """A batch with what the head is trained with."""
    batch = case.batch(lengths)
    return batch | case.labels(batch)


def rows(batch: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """The rows of a batch, one by one."""
    return [{name: value[i] for name, value in batch.items()} for i in range(len(next(iter(batch.values()))))]


def descent(folder: Path, **arguments: Any) -> TrainingArguments:
    """Of a run on the CPU over the rows in their order, by plain gradient descent unless told otherwise."""
    settings: dict[str, Any] = {
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
        "optim": "sgd",
        "learning_rate": 0.1,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0,
        "logging_steps": 1,
        "save_strategy": "no",
        "num_train_epochs": 1,
        "remove_unused_columns": False,
        "train_sampling_strategy": "sequential",
    }
    return TrainingArguments(str(folder), **(settings | arguments))


def trainer(model: Any, data: list[dict[str, Tensor]], folder: Path, **arguments: Any) -> Trainer:
    """A run over the rows, with these arguments and those of `descent`."""
    return Trainer(model, descent(folder, **arguments), train_dataset=data)


def losses(run: Trainer) -> list[float]:
    """The losses that it logged."""
    return [entry["loss"] for entry in run.state.log_history if "loss" in entry]
