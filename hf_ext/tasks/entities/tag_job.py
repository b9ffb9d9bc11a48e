"""The main job for tags: train a CRF, a MEMM or a softmax over tags on files with entities."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar

from datasets import Dataset
from transformers import (
    DataCollatorForTokenClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainingArguments,
)

from hf_ext.data.span_encoding import decode_span_dataset
from hf_ext.ops.tag_rules import TAG_SCHEMES, split_tag
from hf_ext.tasks.base.job import Files
from hf_ext.tasks.base.option import option
from hf_ext.tasks.entities.span_job import EntityJob
from hf_ext.tasks.entities.tag_encoding import TagEncoder, tags_to_predictions
from hf_ext.tasks.entities.tag_head import SEQUENCE_HEADS, AutoModelForSequenceLabeling
from hf_ext.tasks.entities.tag_metrics import tag_compute_metrics
from hf_ext.tasks.entities.tag_schemes import tags_of_labels
from hf_ext.training.head_learning_rate import transitions
from hf_ext.training.parameter_groups import head_optimizer

# From scratch the rate is some thirty times that of fine-tuning.
_MULTIPLIER_FROM_SCRATCH = 10.0


@dataclass
class SequenceLabelingJob(EntityJob):
    """Named-entity recognition with a CRF, a MEMM or a softmax over tags, of entities that do not overlap."""

    head: str | None = option(
        "How tags, which do not nest, are scored; else crf, or the model's.",
        None,
        group="Head",
        choices=SEQUENCE_HEADS,
        config_field="sequence_head",
    )
    tag_scheme: str = option("Of tags.", "BIO", group="Head", choices=TAG_SCHEMES, config_field="tag_scheme")
    constrained_transitions: bool | None = option(
        "Forbid tags that follow each other against the scheme; else as the model.",
        None,
        group="Head",
        config_field="constrained_transitions",
    )
    head_lr_multiplier: float | None = option(
        "With crf or memm: how much faster transitions learn; else 10 from scratch, and as the model or 100.",
        None,
        group="Head",
        config_field="head_lr_multiplier",
    )

    of_evaluation: ClassVar[tuple[str, ...]] = ("max_length", "stride", "tag_scheme")
    command: ClassVar[str] = "ner"
    auto_class: ClassVar[Any] = AutoModelForSequenceLabeling

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.head == "softmax" and self.head_lr_multiplier is not None:
            raise ValueError(
                f"head_lr_multiplier goes with a head that has transitions, crf or memm, got {self.head_lr_multiplier} "
                "with head='softmax'"
            )

    def outputs(self, labels: Sequence[str]) -> Sequence[str]:
        """The tags."""
        return tags_of_labels(labels, self.tag_scheme)

    def head_options(self, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
        """Fields of the head's config, with the tokens that have no tag."""
        options = super().head_options(tokenizer)
        if self.model is None:
            options.setdefault("head_lr_multiplier", _MULTIPLIER_FROM_SCRATCH)
        names = ("cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id", "pad_token_id")
        untagged = {getattr(tokenizer, name) for name in names} - {None, tokenizer.unk_token_id}
        return {**options, "untagged_token_ids": sorted(untagged)}

    def encoder(self, tokenizer: PreTrainedTokenizerBase, config: Any) -> TagEncoder:
        """What makes rows of texts; its tags, and the ids they have, are the model's."""
        tags = [config.id2label[number] for number in range(len(config.id2label))]
        labels = self.labels_of_model(config)
        return TagEncoder(tokenizer, labels, self.tag_scheme, self.max_length, self.stride, tags=tags)

    def labels_of_model(self, config: Any) -> Sequence[str]:
        """The labels of entities that a model tells apart, also those that the training file lacks."""
        tags = [config.id2label[number] for number in range(len(config.id2label))]
        return list(dict.fromkeys(split_tag(tag)[1] for tag in tags if tag != "O"))

    def evaluation_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Collator and metrics."""
        # Places of tags, which padding on the left would move, are those of tokens in the encoded rows.
        right = copy(tokenizer)
        right.padding_side = "right"
        config: Any = model.config
        return {
            "data_collator": DataCollatorForTokenClassification(right),
            "compute_metrics": tag_compute_metrics(config.id2label),
        }

    def trainer_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, files: Files, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Also the optimiser under which transitions learn faster."""
        options = super().trainer_options(tokenizer, model, files, arguments)
        # There are none in a softmax head, and in one that stays as it is none that learn.
        if transitions(model):
            options["optimizer_cls_and_kwargs"] = head_optimizer(model, arguments)
        return options

    def decode(self, predictions: Any, rows: Dataset, texts: Sequence[str], config: Any) -> list[list[dict[str, Any]]]:
        """The character spans of each text."""
        labels = self.labels_of_model(config)
        numbers = {label: number for number, label in enumerate(labels)}
        spans = [tags_to_predictions(row, config.id2label, numbers) for row in predictions]
        return decode_span_dataset(spans, rows, texts, dict(enumerate(labels)))
