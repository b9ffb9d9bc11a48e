"""What the jobs share that look for spans in texts: entities, relations, events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainingArguments

from hf_ext.data.span_collator import DataCollatorForSpanExtraction
from hf_ext.data.span_encoding import SpanEncoder
from hf_ext.data.text_lines import texts_of
from hf_ext.data.windows import count_in_rows
from hf_ext.metrics.comparison import Comparison, Item, pair_items
from hf_ext.ops.logit import logit
from hf_ext.tasks.base.encoder_job import EncoderJob
from hf_ext.tasks.base.job import Files
from hf_ext.tasks.base.option import option
from hf_ext.tasks.base.score_threshold import BEST, best_threshold, given_threshold, threshold_option
from hf_ext.training.divergences import Divergence, pointer_tables_divergence
from hf_ext.training.run_steps import predict_in_order


@dataclass
class ExtractionJob(EncoderJob):
    """Texts with what is to be found in them, in windows, and a head over any encoder.

    A task names its Auto class, encoder and collator, and overrides `read`, `read_evaluation`, `compute_metrics`,
    `decode`, `exact_scores` and `items`.
    """

    # The pipeline reads windows like those of training.
    max_length: int = option("Tokens in a window; saved with the tokenizer.", 512, group="Lengths")
    stride: int | None = option(
        "Tokens that two windows of a long text share; else 64, or less in small windows.", None, group="Lengths"
    )

    of_evaluation: ClassVar[tuple[str, ...]] = ("max_length", "stride")
    reads_windows: ClassVar[bool] = True
    keeps_what_scores_more: ClassVar[bool] = True
    """Whether what is found with a higher threshold is what is found with a lower one and scores more."""
    encoder_class: ClassVar[type[SpanEncoder]] = SpanEncoder
    collator_class: ClassVar[Any] = DataCollatorForSpanExtraction

    def __post_init__(self) -> None:
        super().__post_init__()
        given_threshold(getattr(self, "threshold", None))

    def load_model(self, tokenizer: PreTrainedTokenizerBase, files: Files) -> PreTrainedModel:
        """The model that the job names, with a head for the labels of the files.

        Raises:
            ValueError: if a trained head of ``model`` lacks a label, or it takes fewer tokens than ``max_length``.
        """
        labels = self.head_labels(self.outputs(files.labels), self.auto_class.head.suffix)
        label2id = {label: index for index, label in enumerate(labels)}
        fields: dict[str, Any] = {"id2label": dict(enumerate(labels)), "label2id": label2id}
        head = self.head_options(tokenizer)
        threshold = given_threshold(getattr(self, "threshold", None))
        if threshold is not None:
            head["score_threshold"] = threshold
        return self.open_model(self.auto_class, tokenizer, fields, **head)

    def count_lost(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, labels: Sequence[str]
    ) -> Sequence[int]:
        """Annotations that do not come back from their tokens."""
        names = self.outputs(labels)
        label2id = {name: number for number, name in enumerate(names)}
        encoder = self.encoder(tokenizer, SimpleNamespace(id2label=dict(enumerate(names)), label2id=label2id))
        return count_in_rows(encoder, examples, ("text", encoder.annotations), "lost_entities")

    def read_unlabelled(self, path: Path, files: Files) -> list[dict[str, Any]]:
        """Texts, in which nothing is to be found."""
        return [{"text": text, self.encoder_class.annotations: []} for text in texts_of(path) if text.strip()]

    def outputs(self, labels: Sequence[str]) -> Sequence[str]:
        """What a new head tells apart, for the labels of the files: these."""
        return labels

    def encoder(self, tokenizer: PreTrainedTokenizerBase, config: Any) -> SpanEncoder:
        """What makes rows of texts, for the labels of a model."""
        return self.encoder_class(tokenizer, config.label2id, self.max_length, self.stride)

    def encode(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
    ) -> Dataset:
        """Rows of windows."""
        encoder = self.encoder(tokenizer, model.config)
        return encoder.encode_dataset(Dataset.from_list([dict(example) for example in examples]))

    def evaluation_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Collator and metrics."""
        metrics = self.compute_metrics(model.config.id2label)
        return {"data_collator": self.collator_class(tokenizer), "compute_metrics": metrics}

    def compute_metrics(self, id2label: Any) -> Any:
        """What Trainer computes of an evaluation, on tokens."""
        raise NotImplementedError

    def settle(self, trainer: Trainer, rows: Dataset, examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The threshold, where one is given or asked for."""
        model: Any = trainer.model
        threshold = getattr(self, "threshold", None)
        if threshold is None:
            return {}
        if threshold == BEST:
            texts = [example["text"] for example in examples]
            annotations = [example[self.encoder_class.annotations] for example in examples]
            predictions: Any = None

            def f1_at(threshold: float) -> float:
                nonlocal predictions
                if predictions is None or not self.keeps_what_scores_more:
                    model.config.score_threshold = threshold
                    predictions = predict_in_order(trainer, rows)
                kept = np.array(predictions)
                kept[kept[..., -1] <= logit(threshold), :-1] = -1
                found = self.decode(kept, rows, texts, model.config)
                return float(self.exact_scores(found, annotations, model.config)["f1"])

            model.config.score_threshold = best_threshold(f1_at)
        return {"threshold": model.config.score_threshold}

    def find(
        self, trainer: Trainer, rows: Dataset, examples: Sequence[Mapping[str, Any]]
    ) -> list[list[dict[str, Any]]]:
        """What is found in each text."""
        predictions = predict_in_order(trainer, rows)
        model: Any = trainer.model
        return self.decode(predictions, rows, [example["text"] for example in examples], model.config)

    def decode(self, predictions: Any, rows: Dataset, texts: Sequence[str], config: Any) -> list[list[dict[str, Any]]]:
        """What is found in each text, with its place in the text, from the predictions of its windows."""
        raise NotImplementedError

    def score(self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel) -> dict[str, Any]:
        """Scores on the characters of the texts."""
        true = [example[self.encoder_class.annotations] for example in examples]
        return self.exact_scores(found, true, model.config)

    def exact_scores(self, found: Any, true: Any, config: Any) -> dict[str, Any]:
        """Scores of what was found beside what is true, for each text."""
        raise NotImplementedError

    def predictions(
        self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel
    ) -> list[dict[str, Any]]:
        """Each text with what is found in it."""
        key = self.encoder_class.annotations
        return [{"text": example["text"], key: own} for example, own in zip(examples, found)]

    def compare(
        self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel
    ) -> Sequence[Comparison]:
        """What was found in each text beside what is true."""
        return [
            Comparison({"text": example["text"]}, pair_items(self.items_of(example), self.items(example["text"], own)))
            for example, own in zip(examples, found)
        ]

    def items_of(self, example: Mapping[str, Any]) -> Sequence[Item]:
        """What is to be found in a text."""
        return self.items(example["text"], example[self.encoder_class.annotations])

    def items(self, text: str, annotations: Sequence[Mapping[str, Any]]) -> Sequence[Item]:
        """What `exact_scores` counts of what is in a text."""
        raise NotImplementedError


@dataclass
class SchemaJob(ExtractionJob):
    """Texts with relations or events, whose labels may stand in a schema.

    A task also overrides `read_file`, `read_schema` and `labels_of`.
    """

    schema_file: Path | None = option(
        "Names what may occur; else what occurs in the training file.", None, group="Files"
    )

    defaults_from_scratch: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3, "num_train_epochs": 20}
    defaults_fine_tuning: ClassVar[Mapping[str, Any]] = {"learning_rate": 3e-5, "num_train_epochs": 10}

    @property
    def labels_are_named(self) -> bool:
        """Whether there is a schema."""
        return self.schema_file is not None

    def read(self) -> Files:
        """Texts whose labels are those of the schema, or of training."""
        labels = None if self.schema_file is None else self.read_schema(self.schema_file)
        train = self.read_file(self.train_file, labels)
        self.check_examples("train_file", train)
        labels = labels or self.labels_of(train)
        if not labels:
            raise ValueError(f"train_file must have {self.encoder_class.annotations}, got none in {self.train_file}")
        return Files(train, self.read_evaluation(self.validation_file, labels), labels)

    def read_evaluation(self, path: Path, labels: Sequence[str]) -> list[dict[str, Any]]:
        """Texts of which none has other labels than these."""
        return self.read_file(path, labels)

    def read_file(self, path: Path, labels: Sequence[str] | None) -> list[dict[str, Any]]:
        """Examples of a file, of which none has other labels than these if there are any."""
        raise NotImplementedError

    def read_schema(self, path: Path) -> list[str]:
        """The labels of a schema."""
        raise NotImplementedError

    def labels_of(self, examples: Sequence[Mapping[str, Any]]) -> list[str]:
        """The labels that occur in examples."""
        raise NotImplementedError


@dataclass
class LinkedSpanJob(SchemaJob):
    """The same by GPLinker."""

    span_head_size: int | None = option(
        "Size of the head's vectors; else 64, or the model's.", None, group="Head", config_field="span_head_size"
    )
    threshold: str | None = threshold_option()

    divergence: ClassVar[Divergence] = staticmethod(pointer_tables_divergence)
    clean_divergence: ClassVar[Divergence] = staticmethod(pointer_tables_divergence)
