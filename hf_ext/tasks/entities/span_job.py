"""The main job: train a span extraction model on files, score it on characters, save it with its curves."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainingArguments,
    set_seed,
)

from hf_ext.data.span_collator import DataCollatorForSpanExtraction
from hf_ext.data.span_encoding import SpanEncoder, decode_span_dataset
from hf_ext.metrics.exact_spans import span_metrics, span_scores
from hf_ext.tasks.base.auto_class import AutoModelForSpanExtraction
from hf_ext.tasks.base.job import EncoderJob
from hf_ext.tasks.base.option import option
from hf_ext.tasks.entities.example import check_labels
from hf_ext.tasks.entities.files import read_entities
from hf_ext.tasks.entities.span_head import SPAN_HEADS
from hf_ext.training.job_trainer import JobTrainer
from hf_ext.training.run_steps import predict_in_order, save_run, train_with_progress

logger = logging.getLogger(__name__)


@dataclass
class EntityJob(EncoderJob):
    """What jobs on texts with entities share; a subclass names the head."""

    train_file: Path = option("Texts with entities: JSON lines, CLUENER's JSON or CoNLL.", group="Files")
    max_length: int = option("Tokens in a window; saved with the tokenizer.", 512, group="Lengths")
    stride: int = option("Tokens that two windows of a long text share.", 64, group="Lengths")

    auto_class: ClassVar[Any]

    def load_model(self, tokenizer: PreTrainedTokenizerBase, labels: Sequence[str]) -> PreTrainedModel:
        """The model that the job names, with a head for ``labels``.

        Raises:
            ValueError: if a trained head of ``model`` lacks a label, or it takes fewer tokens than ``max_length``.
        """
        labels = self.head_labels(self.outputs(labels), self.auto_class._model_mapping.head.suffix)
        label2id = {label: index for index, label in enumerate(labels)}
        fields: dict[str, Any] = {"id2label": dict(enumerate(labels)), "label2id": label2id}
        head = self.head_options(tokenizer)
        if self.model is not None:
            model = self.auto_class.from_pretrained(self.model, **fields, **head)
            self.check_length(model)
            return model
        return self.auto_class.from_config(self.new_config(tokenizer, **fields), **head)

    def outputs(self, labels: Sequence[str]) -> Sequence[str]:
        """What a new head tells apart, for the labels of entities: these."""
        return labels

    def make_encoder(self, tokenizer: PreTrainedTokenizerBase, labels: Sequence[str], config: Any) -> SpanEncoder:
        """What makes rows of texts."""
        return SpanEncoder(tokenizer, config.label2id, self.max_length, self.stride)

    def trainer_options(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Collator, metrics and what else Trainer is given."""
        labels: Any = model.config.id2label
        return {"data_collator": DataCollatorForSpanExtraction(tokenizer), "compute_metrics": span_metrics(labels)}

    def decode(
        self, predictions: Any, encoded: Dataset, texts: Sequence[str], encoder: SpanEncoder
    ) -> list[list[dict[str, Any]]]:
        """The character spans of each text."""
        names = {number: label for label, number in encoder.label2id.items()}
        return decode_span_dataset(predictions, encoded, texts, names)

    def run(self, arguments: TrainingArguments) -> dict[str, Any]:
        """Train, evaluate and save into ``arguments.output_dir``.

        Written beside the model: ``scores.json`` (exact spans of characters on the validation file) and ``curves.png``.

        Returns:
            The scores, as :func:`hf_ext.metrics.span_scores` gives them.

        Raises:
            ValueError: if a file or an option cannot be used.
        """
        train, validation = read_entities(self.train_file), read_entities(self.validation_file)
        labels = check_labels(train, validation)
        if not labels:
            raise ValueError(f"train_file must have entities, got {len(train)} texts without any in {self.train_file}")
        self.check_examples("validation_file", validation)
        tokenizer = self.load_tokenizer([example["text"] for example in train])
        # Before a new model's weights are drawn.
        set_seed(arguments.seed)
        model = self.load_model(tokenizer, labels)
        config: Any = model.config
        encoder = self.make_encoder(tokenizer, labels, config)
        encoded_train, encoded_validation = (
            encoder.encode_dataset(Dataset.from_list([dict(example) for example in examples]))
            for examples in (train, validation)
        )
        trainer = JobTrainer(
            model=model,
            args=arguments,
            train_dataset=encoded_train,
            eval_dataset=encoded_validation,
            processing_class=tokenizer,
            **self.trainer_options(model, tokenizer, arguments),
        )
        train_with_progress(trainer, "f1")
        predictions = predict_in_order(trainer, encoded_validation)
        texts = [example["text"] for example in validation]
        found = self.decode(predictions, encoded_validation, texts, encoder)
        # All labels of the model: one of a trained head that the training file lacks is wrong wherever it is found.
        scores = span_scores(found, [example["entities"] for example in validation], encoder.label2id)
        save_run(trainer, scores, "f1")
        return scores


@dataclass
class SpanExtractionJob(EntityJob):
    """Named-entity recognition with GlobalPointer, nested entities included, or a CRF, MEMM or softmax."""

    head: str | None = option(
        "How entities are scored, which may nest; else efficient_global_pointer, or the model's.",
        None,
        group="Head",
        choices=SPAN_HEADS,
        config_field="span_head",
    )
    span_head_size: int | None = option(
        "Size of the head's vectors; else 64, or the model's.", None, group="Head", config_field="span_head_size"
    )

    command: ClassVar[str] = "ner"
    auto_class: ClassVar[Any] = AutoModelForSpanExtraction
