"""Trainer of clozes, which is evaluated by what it says of labels.

Shapes: B rows, L tokens, k masks, V vocabulary, C labels, W words of a label, P places asked for.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from hf_ext.losses.table import for_trainer
from hf_ext.ops.precision import at_least_float32
from hf_ext.tasks.base.asked_places import head_at, predicts_by_place
from hf_ext.tasks.cloze.answers import label_scores
from hf_ext.tasks.cloze.collator import DataCollatorForCloze
from hf_ext.tasks.cloze.encoding import NO_LABEL, NOT_THERE
from hf_ext.training.job_trainer import JobTrainer


class ClozeTrainer(JobTrainer):
    """Trainer of a masked language model on rows of :class:`DataCollatorForCloze`.

    A batch of words to be predicted is learnt as any masked model learns it: the mean over all of its targets. Of a
    batch of labels the loss is ``(1 - mlm_weight)`` times the cross-entropy of a softmax over the labels' scores, plus
    ``mlm_weight`` times that of the tokens masked in texts without a pattern, if it has some. In an evaluation nothing
    but the pattern's masks is masked, and predictions are the scores of labels, ``[N, C]``.

    Args:
        words: the tokens of the labels' words, `ClozeEncoder.words` ``[C, W, k]``; None where rows have their own.
        mlm_weight: what the masked tokens of other texts weigh, 1 - alpha of PET (arXiv 2001.07676).
        weighed_by: rows whose accuracy before training is to be known as ``weight``, as of the training file: what the
            model weighs in an ensemble; see :func:`ensemble_scores`.
        *args: Trainer's.
        **kwargs: Trainer's; ``data_collator`` is a `DataCollatorForCloze`.

    Raises:
        ValueError: if the collator is another, or the weight not in [0, 1).
    """

    def __init__(
        self,
        *args: Any,
        words: NDArray[np.int64] | Tensor | None = None,
        mlm_weight: float = 1e-4,
        weighed_by: Dataset[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if not 0 <= mlm_weight < 1:
            raise ValueError(f"mlm_weight must be at least 0 and below 1, got {mlm_weight}")
        if getattr(kwargs.get("data_collator"), "predicts", None) == "words":
            # BERT's own takes the mean of each micro-batch, which Trainer would add up.
            kwargs.setdefault("compute_loss_func", for_trainer("cross_entropy"))
        super().__init__(*args, **kwargs)
        if not isinstance(self.data_collator, DataCollatorForCloze):
            raise ValueError(f"data_collator must be a DataCollatorForCloze, got {type(self.data_collator).__name__}")
        # The collator reads columns that no model has as an argument.
        self.args.remove_unused_columns = False
        self.words = None if words is None else torch.as_tensor(words)
        self.mlm_weight, self.weighed_by = mlm_weight, weighed_by
        self.weight: float | None = None
        if self.data_collator.predicts == "labels":
            # The loss is made here: Trainer has to divide it by the number of accumulation steps.
            self.model_accepts_loss_kwargs = False
        self.asks_places = (
            self.args.n_gpu <= 1
            and not self.args.torch_compile
            and predicts_by_place(self._without_adapter(self.model))
        )

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """As Trainer's, and what the model weighs is measured first."""
        if self.weighed_by is not None and self.weight is None:
            found = self.predict(self.weighed_by)
            self.weight = float((found.predictions.argmax(-1) == found.label_ids).mean())  # type: ignore[union-attr]
        return super().train(*args, **kwargs)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As `JobTrainer`'s."""
        with warnings.catch_warnings():
            # PEFT tells that it saves the whole matrix of a vocabulary that was given soft tokens, as it has to.
            warnings.filterwarnings("ignore", "Setting `save_embedding_layers`")
            super().save_model(output_dir, _internal_call)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The loss of a batch; with ``return_outputs`` also the logits of words, or the scores ``[B, C]`` of labels.

        Raises:
            ValueError: if there are no words, or they do not fit the masks.
        """
        if "mask_places" in inputs:
            loss, scores = self._loss_of_labels(model, dict(inputs))
            return (loss, {"logits": scores}) if return_outputs else loss
        if return_outputs or not (model.training and self.asks_places):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs["labels"]
        rows, columns = (labels != NO_LABEL).nonzero(as_tuple=True)
        asked = {**inputs, "labels": labels[rows, columns][None]}
        with head_at(self._without_adapter(self.accelerator.unwrap_model(model)), rows, columns):
            return super().compute_loss(model, asked, False, num_items_in_batch)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        """As `JobTrainer`'s, with the labels' numbers and no token masked at random."""
        with self._batches_of_labels():
            return super().get_eval_dataloader(eval_dataset)

    def get_test_dataloader(self, test_dataset: Dataset[Any]) -> DataLoader[Any]:
        """As `JobTrainer`'s, with the labels' numbers and no token masked at random."""
        with self._batches_of_labels():
            return super().get_test_dataloader(test_dataset)

    @contextmanager
    def _batches_of_labels(self) -> Iterator[None]:
        kept: Any = self.data_collator
        self.data_collator = replace(kept, predicts="labels", mlm_probability=0.0)
        try:
            yield
        finally:
            self.data_collator = kept

    def _loss_of_labels(self, model: nn.Module, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        labels, places = inputs.pop("labels"), inputs.pop("mask_places")
        words, targets = inputs.pop("words", self.words), inputs.pop("token_labels", None)
        if words is None:
            raise ValueError(
                "words must be given, the tokens of the labels' words, got none and rows without their own"
            )
        words = words.to(places.device)
        has_masks = places[:, 0] != NOT_THERE if places.shape[1] else torch.zeros_like(labels, dtype=torch.bool)
        number, masks = int(has_masks.sum()), places.shape[1]
        rows = has_masks.nonzero().squeeze(-1).repeat_interleave(masks)
        columns = places[has_masks].flatten()
        if targets is not None:
            other_rows, other_columns = (targets != NO_LABEL).nonzero(as_tuple=True)
            rows, columns = torch.cat((rows, other_rows)), torch.cat((columns, other_columns))
        logits = self._logits_at(model, inputs, rows, columns)
        own = words[has_masks] if words.dim() == 4 else words
        # Of a row without a pattern no label is likelier than another.
        scores = logits.new_zeros(len(labels), words.shape[-3])
        if number:
            scores[has_masks] = label_scores(logits[: number * masks].view(number, masks, -1), own)
        count = (labels != NO_LABEL).sum().clamp(min=1)
        loss = F.cross_entropy(scores, labels, ignore_index=NO_LABEL, reduction="sum") / count
        if targets is None:
            return loss, scores
        of_tokens = F.cross_entropy(logits[number * masks :], targets[targets != NO_LABEL])
        return (1 - self.mlm_weight) * loss + self.mlm_weight * of_tokens, scores

    def _logits_at(self, model: nn.Module, inputs: dict[str, Any], rows: Tensor, columns: Tensor) -> Tensor:
        """``[P, V]`` in float32 or better."""
        if not self.asks_places:
            return at_least_float32(model(**inputs)["logits"][rows, columns])
        with head_at(self._without_adapter(self.accelerator.unwrap_model(model)), rows, columns):
            return at_least_float32(model(**inputs)["logits"][0])

    @staticmethod
    def _without_adapter(model: Any) -> Any:
        """What PEFT wraps, whose own ``base_model`` is not the encoder."""
        return model.get_base_model() if hasattr(model, "get_base_model") else model
