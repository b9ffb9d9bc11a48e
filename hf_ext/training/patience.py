"""Stops a training that no longer gets better."""

from typing import Any

from transformers import EarlyStoppingCallback, TrainingArguments


def early_stopping(arguments: TrainingArguments, patience: int) -> EarlyStoppingCallback:
    """What stops a training after so many evaluations in a row that are no better than the best before them.

    A run resumed from a checkpoint counts on where it stopped.

    Args:
        arguments: of the training; changed, so that a resumed run reads the count.
        patience: number of evaluations.

    Raises:
        ValueError: if it is below 1, there are no evaluations, or the best model is not kept.
    """
    if patience < 1:
        raise ValueError(f"patience must be at least 1, got {patience}")
    wanted: dict[str, tuple[Any, bool]] = {
        "eval_strategy": ("epoch or steps", str(getattr(arguments.eval_strategy, "value", "")) == "no"),
        "load_best_model_at_end": (True, not arguments.load_best_model_at_end),
        "metric_for_best_model": ("a metric", arguments.metric_for_best_model is None),
    }
    for name, (needed, is_missing) in wanted.items():
        if is_missing:
            seen = getattr(arguments, name)
            seen = getattr(seen, "value", seen)
            raise ValueError(f"patience counts evaluations, so {name} must be {needed}, got {seen}")
    arguments.restore_callback_states_from_checkpoint = True
    return EarlyStoppingCallback(early_stopping_patience=patience)
