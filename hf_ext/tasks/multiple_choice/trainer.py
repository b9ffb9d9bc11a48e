"""Trainer of multiple choice, which is evaluated by what is decoded of whole groups of questions."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset
from transformers import EvalPrediction

from hf_ext.tasks.multiple_choice.encoding import ChoiceEncoder
from hf_ext.tasks.multiple_choice.head import present_choices
from hf_ext.tasks.multiple_choice.metrics import choice_scores, groups_of, logits_of_choices
from hf_ext.training.job_trainer import JobTrainer


def leave_out_missing_choices(model: Any) -> None:
    """Have a model give choices that are not there the logit -inf from now on, as our head does by itself.

    A family's own takes no mask of choices, and would let one that only fills up a row win.

    Args:
        model: is called with ``attention_mask`` ``[B, K, L]``, and returns ``logits`` ``[B, K]``.
    """
    model.register_forward_hook(_mask_choices, with_kwargs=True)


def _mask_choices(model: Any, args: Any, kwargs: dict[str, Any], outputs: Any) -> Any:
    seen = kwargs.get("attention_mask")
    if seen is not None:
        outputs["logits"] = outputs["logits"].masked_fill(~present_choices(seen), -torch.inf)
    return outputs


class MultipleChoiceTrainer(JobTrainer):
    """Trainer of a model of multiple choice on questions, of which :class:`DataCollatorForChoices` makes batches.

    Choices that are not there have the logit -inf, whatever the model's head. An evaluation gives ``accuracy`` as
    :func:`hf_ext.tasks.multiple_choice.choice_scores` has it.

    Args:
        *args: Trainer's.
        decoding: how choices are made of logits; None: as `decoding_of` says.
        **kwargs: Trainer's; ``data_collator`` is a `DataCollatorForChoices`.
    """

    def __init__(self, *args: Any, decoding: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The collator takes texts, which no model has as an argument.
        self.args.remove_unused_columns = False
        self.decoding = decoding
        # Of the outermost model, as an adapter runs what it adapts without its hooks.
        leave_out_missing_choices(self.model)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        """As `JobTrainer`'s."""
        return self._scored(super().get_eval_dataloader(eval_dataset))

    def get_test_dataloader(self, test_dataset: Dataset[Any]) -> DataLoader[Any]:
        """As `JobTrainer`'s."""
        return self._scored(super().get_test_dataloader(test_dataset))

    def _scored(self, loader: DataLoader[Any]) -> DataLoader[Any]:
        """The loader, of whose questions metrics are to be; these say what belongs together."""
        collator: Any = self.data_collator
        questions: Any = loader.dataset
        self.compute_metrics = partial(_metrics, questions, collator.encoder, self.decoding)
        return loader


def _metrics(
    questions: Sequence[Mapping[str, Any]], encoder: ChoiceEncoder, decoding: str | None, prediction: EvalPrediction
) -> dict[str, float]:
    logits = logits_of_choices(prediction.predictions, [len(encoder.choices_of(one)) for one in questions])
    labels: Any = prediction.label_ids
    scores = choice_scores(logits, labels.tolist(), groups_of(questions), decoding)
    return {name: value for name, value in scores.items() if name != "decoding"}
