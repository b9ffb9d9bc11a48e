"""Refuses label smoothing of TrainingArguments where it would be left out, or make another loss than the model's."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class CheckLabelSmoothing(TrainerCallback):
    """Looks at the arguments of each Trainer once it is made; every Trainer has it once ``hf_ext`` is imported.

    Trainer smooths by taking the labels away and computing a cross-entropy of the ``logits`` itself. Models of ours
    whose loss is another say so by ``smooths_labels = False``.
    """

    def on_init_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        **kwargs: Any,
    ) -> None:
        """Raise ValueError if the model's loss has no smoothing, and it is asked for."""
        # PEFT's models have the model that they adapt.
        plain = model.get_base_model() if hasattr(model, "get_base_model") else model
        if not getattr(plain, "smooths_labels", True):
            refuse_label_smoothing(args, type(plain).__name__)


def refuse_label_smoothing(arguments: TrainingArguments, what: str) -> None:
    """Raise ValueError if label smoothing is asked for of ``what``, which has none."""
    factor = arguments.label_smoothing_factor
    if factor:
        raise ValueError(f"label_smoothing_factor must be 0 for {what}, whose loss smooths no labels, got {factor}")
