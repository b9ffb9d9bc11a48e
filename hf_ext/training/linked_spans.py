"""What the jobs of relations and events share: from files to a trained, scored and saved model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainingArguments, set_seed

from hf_ext.data import DataCollatorForSpanExtraction, SpanEncoder
from hf_ext.training.encoder_job import EncoderJob
from hf_ext.training.trainer_steps import predict_in_order, save_run, train_with_progress


@dataclass
class LinkedSpanJob(EncoderJob):
    """What to train on and what to start from; a subclass names what examples are read, encoded and scored by.

    Attributes:
        schema_file: names what may occur; None: what occurs in the training file.
        stride: tokens that two windows of a long text share.
        head_options: fields of the head, such as ``span_head_size``.
    """

    schema_file: Path | None = None
    max_length: int = 512
    stride: int = 64
    head_options: Mapping[str, Any] = field(default_factory=dict)

    # What a task is made of.
    auto_class: ClassVar[Any]
    encoder_class: ClassVar[type[SpanEncoder]]
    collator_class: ClassVar[type[DataCollatorForSpanExtraction]]
    read: ClassVar[Callable[..., list[dict[str, Any]]]]
    """Examples of a file, of which none has other labels than these if there are any."""
    read_schema: ClassVar[Callable[..., list[str]]]
    """The labels of a schema."""
    labels_of: ClassVar[Callable[..., list[str]]]
    """The labels that occur in examples."""
    metrics: ClassVar[Callable[..., Any]]
    """``compute_metrics`` for Trainer, from ``id2label``."""
    decode: ClassVar[Callable[..., list[list[dict[str, Any]]]]]
    """What is in each text, from predictions, the encoded rows, the texts and ``id2label``."""
    score: ClassVar[Callable[..., dict[str, Any]]]
    """Scores of what was found beside what is true, on the characters of the texts."""

    def load_model(self, tokenizer: PreTrainedTokenizerBase, labels: Sequence[str]) -> PreTrainedModel:
        """The model that the job names, with a head for ``labels``.

        Raises:
            ValueError: if a trained head of ``model`` lacks a label, or it takes fewer tokens than ``max_length``.
        """
        labels = self.head_labels(labels, self.auto_class.head.suffix)
        label2id = {label: index for index, label in enumerate(labels)}
        fields: dict[str, Any] = {"id2label": dict(enumerate(labels)), "label2id": label2id}
        head = {key: value for key, value in self.head_options.items() if value is not None}
        if self.model is None:
            return self.auto_class.from_config(self.new_config(tokenizer, **fields), **head)
        model = self.auto_class.from_pretrained(self.model, **fields, **head)
        self.check_length(model)
        return model

    def run(self, arguments: TrainingArguments) -> dict[str, Any]:
        """Train, evaluate and save into ``arguments.output_dir``.

        Written beside the model: ``scores.json``, on the characters of the validation file, and ``curves.png``.

        Returns:
            The scores.

        Raises:
            ValueError: if a file or an option cannot be used.
        """
        labels = None if self.schema_file is None else self.read_schema(self.schema_file)
        train = self.read(self.train_file, labels)
        self.check_examples("train_file", train)
        labels = labels or self.labels_of(train)
        if not labels:
            raise ValueError(f"train_file must have {self.encoder_class.annotations}, got none in {self.train_file}")
        validation = self.read(self.validation_file, labels)
        self.check_examples("validation_file", validation)
        tokenizer = self.load_tokenizer(example["text"] for example in train)
        # Before a new model's weights are drawn.
        set_seed(arguments.seed)
        model = self.load_model(tokenizer, labels)
        config: Any = model.config
        encoder = self.encoder_class(tokenizer, config.label2id, self.max_length, self.stride)
        rows = [encoder.encode_dataset(Dataset.from_list(examples)) for examples in (train, validation)]
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=rows[0],
            eval_dataset=rows[1],
            processing_class=tokenizer,
            data_collator=self.collator_class(tokenizer),
            compute_metrics=self.metrics(config.id2label),
        )
        train_with_progress(trainer, "f1")
        predictions = predict_in_order(trainer, rows[1])
        found = self.decode(predictions, rows[1], [example["text"] for example in validation], config.id2label)
        scores = self.score(found, [example[encoder.annotations] for example in validation])
        save_run(trainer, scores, "f1")
        return scores
