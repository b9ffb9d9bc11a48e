"""The main job: train a span extraction model on files, score it on characters, save it with its curves."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from datasets import Dataset
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
    set_seed,
)

from hf_ext.data import (
    DataCollatorForSpanExtraction,
    SpanEncoder,
    check_labels,
    decode_dataset,
    read_entities,
)
from hf_ext.heads import AutoModelForSpanExtraction
from hf_ext.metrics import span_metrics, span_scores
from hf_ext.training.encoder_job import EncoderJob
from hf_ext.training.trainer_steps import predict_in_order, save_run, train_with_progress

logger = logging.getLogger(__name__)


@dataclass
class SpanExtractionJob(EncoderJob):
    """What to train on and what to start from.

    Attributes:
        train_file: texts with entities, in a format of :func:`hf_ext.data.read_entities`.
        validation_file: the same for evaluation; its labels must be among those of training.
        model: checkpoint to fine-tune, a name on the Hub or a folder. Either this or ``config``.
        config: to train from scratch: the name of a size (``"small"``), the folder or file of a config, or the name of
            a repository on the Hub (``"org/name"``).
        tokenizer: name or folder; None: the model's, or for a new model the characters of the training texts.
        max_length: tokens in a window; saved with the tokenizer, so that the pipeline reads windows like those of
            training.
        stride: tokens that two windows of a long text share.
        head_options: fields of the head, such as ``span_head`` and ``span_head_size``.
    """

    max_length: int = 512
    stride: int = 64
    head_options: Mapping[str, Any] | None = None

    auto_class: ClassVar[Any] = AutoModelForSpanExtraction

    def load_model(self, tokenizer: PreTrainedTokenizerBase, labels: Sequence[str]) -> PreTrainedModel:
        """The model that the job names, with a head for ``labels``.

        Raises:
            ValueError: if a trained head of ``model`` lacks a label, or it takes fewer tokens than ``max_length``.
        """
        labels = self.head_labels(self.outputs(labels), self.auto_class.head.suffix)
        label2id = {label: index for index, label in enumerate(labels)}
        fields: dict[str, Any] = {"id2label": dict(enumerate(labels)), "label2id": label2id}
        head = {key: value for key, value in (self.head_options or {}).items() if value is not None}
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
        return decode_dataset(predictions, encoded, texts, names)

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
        trainer = Trainer(
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
