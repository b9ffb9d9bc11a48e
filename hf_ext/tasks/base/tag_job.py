"""What the jobs share whose heads give each token a tag: a CRF, a MEMM or a softmax over the tags of spans."""

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
from hf_ext.data.tag_encoding import TagEncoder, tags_of_text, tags_to_predictions
from hf_ext.data.tag_schemes import tags_of_labels
from hf_ext.metrics.tag_scores import tag_compute_metrics
from hf_ext.ops.tag_rules import TAG_SCHEMES, split_tag
from hf_ext.tasks.base.extraction_job import ExtractionJob
from hf_ext.tasks.base.job import Files
from hf_ext.tasks.base.option import option
from hf_ext.tasks.base.tag_head import SEQUENCE_HEADS
from hf_ext.training.head_learning_rate import transitions
from hf_ext.training.parameter_groups import head_optimizer

# From scratch the rate is some thirty times that of fine-tuning.
_MULTIPLIER_FROM_SCRATCH = 10.0


@dataclass
class TagJob(ExtractionJob):
    """Texts with spans that do not overlap, by tags of their tokens; a task names its head and its encoder."""

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
    encoder_class: ClassVar[type[TagEncoder]] = TagEncoder

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
        """Fields of the head's config."""
        options = super().head_options(tokenizer)
        if self.model is None:
            options.setdefault("head_lr_multiplier", _MULTIPLIER_FROM_SCRATCH)
        return options

    def encoder(self, tokenizer: PreTrainedTokenizerBase, config: Any) -> TagEncoder:
        """What makes rows of texts; its tags, and the ids they have, are the model's."""
        tags = [config.id2label[number] for number in range(len(config.id2label))]
        labels = self.labels_of_model(config)
        return self.encoder_class(tokenizer, labels, self.tag_scheme, self.max_length, self.stride, tags=tags)

    def labels_of_model(self, config: Any) -> Sequence[str]:
        """The labels of spans that a model tells apart, also those that the training file lacks."""
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
        # There are none in a softmax head, and in one that stays as it is none that learn. With adapters a copy of the
        # head learns, whose transitions `HeadLearningRate` finds.
        if transitions(model) and self.lora is None:
            options["optimizer_cls_and_kwargs"] = head_optimizer(model, arguments)
        return options

    def decode(self, predictions: Any, rows: Dataset, texts: Sequence[str], config: Any) -> list[list[dict[str, Any]]]:
        """The character spans of each text."""
        labels = self.labels_of_model(config)
        numbers = {label: number for number, label in enumerate(labels)}
        pairs = zip(predictions, rows["offset_mapping"], strict=True)
        spans = [tags_to_predictions(tags_of_text(*pair), config.id2label, numbers) for pair in pairs]
        return decode_span_dataset(spans, rows, texts, dict(enumerate(labels)))
