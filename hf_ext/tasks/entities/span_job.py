"""The main job: train a span extraction model on files, score it on characters, save it with its curves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset
from transformers import Trainer

from hf_ext.data.span_encoding import decode_span_dataset
from hf_ext.metrics.calibration import LabelledLogits
from hf_ext.metrics.comparison import Item
from hf_ext.metrics.exact_spans import span_compute_metrics, span_scores
from hf_ext.tasks.base.extraction_job import ExtractionJob
from hf_ext.tasks.base.job import Files
from hf_ext.tasks.base.option import option
from hf_ext.tasks.base.score_threshold import threshold_option
from hf_ext.tasks.entities.example import EntityExample, check_known_labels, check_labels
from hf_ext.tasks.entities.files import read_entities
from hf_ext.tasks.entities.span_head import SPAN_HEADS, AutoModelForSpanExtraction
from hf_ext.training.divergences import Divergence, pointer_tables_divergence

LEAST_SCORE = 0.01
"""Of the spans that calibration counts: nearly all others are none, and say nothing of those that are found."""


@dataclass
class EntityJob(ExtractionJob):
    """What jobs on texts with entities share; a subclass names the head.

    Files are in a format of :func:`hf_ext.tasks.entities.read_entities`; the labels of the validation file must be
    among those of training. Scores are those of :func:`hf_ext.metrics.span_scores`, exact spans of characters.
    """

    train_file: Path = option(
        "Texts with entities: JSON lines, CLUENER, CoNLL, doccano, label-studio, a folder of brat ...",
        None,
        group="Files",
    )

    label_key: ClassVar[str | None] = "entities"

    def read(self) -> Files:
        """Texts with entities."""
        train, validation = read_entities(self.train_file), read_entities(self.validation_file)
        self.check_examples("train_file", train)
        labels = check_labels(train, validation)
        if not labels:
            raise ValueError(f"train_file must have entities, got {len(train)} texts without any in {self.train_file}")
        return Files(train, validation, labels)

    def read_evaluation(self, path: Path, labels: Sequence[str]) -> list[EntityExample]:
        """Texts whose entities have no other labels than these."""
        examples = read_entities(path)
        check_known_labels(examples, labels)
        return examples

    def lines_of_row(self, row: Mapping[str, Any]) -> Iterable[str]:
        """Lines of JSON, or those of CoNLL where the data set has tokens and their tags.

        Raises:
            ValueError: if there are not as many tags as tokens, or a tag is a number without a name.
        """
        tags = next((row[name] for name in ("tags", "ner_tags") if row.get(name) is not None), None)
        if row.get("tokens") is None or tags is None:
            return super().lines_of_row(row)
        tokens = row["tokens"]
        if len(tags) != len(tokens) or not all(isinstance(tag, str) for tag in tags):
            raise ValueError(f"a row must have as many tags, by their names, as tokens, {len(tokens)}, got {tags}")
        # CoNLL has a token a line and none that is blank.
        pairs = (("".join(token.split()), tag) for token, tag in zip(tokens, tags))
        return [*(f"{token}\t{tag}" for token, tag in pairs if token), ""]

    def compute_metrics(self, id2label: Any) -> Any:
        """Scores of spans of tokens."""
        return span_compute_metrics(id2label)

    def decode(self, predictions: Any, rows: Dataset, texts: Sequence[str], config: Any) -> list[list[dict[str, Any]]]:
        """The character spans of each text."""
        return decode_span_dataset(predictions, rows, texts, config.id2label)

    def labels_of_model(self, config: Any) -> Sequence[str]:
        """The labels of entities that a model tells apart."""
        return list(config.label2id)

    def exact_scores(self, found: Any, true: Any, config: Any) -> dict[str, Any]:
        """Scores of exact spans of characters."""
        # All labels of the model: one of a trained head that the training file lacks is wrong wherever it is found.
        return span_scores(found, true, self.labels_of_model(config))

    def items(self, text: str, annotations: Sequence[Mapping[str, Any]]) -> Sequence[Item]:
        """The entities."""
        items = []
        for one in annotations:
            start, end = place = one["start"], one["end"]
            items.append(Item(one["label"], place, text[start:end], (("", *place),), score=one.get("score")))
        return items


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
    threshold: str | None = threshold_option()

    command: ClassVar[str] = "ner"
    auto_class: ClassVar[Any] = AutoModelForSpanExtraction
    divergence: ClassVar[Divergence] = staticmethod(pointer_tables_divergence)
    clean_divergence: ClassVar[Divergence] = staticmethod(pointer_tables_divergence)

    def labelled_logits(self, trainer: Trainer, rows: Any, examples: Sequence[Mapping[str, Any]]) -> LabelledLogits:
        """Scores of the spans that the model does not think next to impossible, and whether each is an entity."""
        model: Any = trainer.model
        model.config.score_threshold = LEAST_SCORE
        found = self.find(trainer, rows, examples)
        true = [{(one["start"], one["end"], one["label"]) for one in example["entities"]} for example in examples]
        logits, labels, texts = [], [], []
        for number, (spans, entities) in enumerate(zip(found, true)):
            for span in spans:
                logits.append(span["score"])
                labels.append(int((span["start"], span["end"], span["label"]) in entities))
                texts.append(number)
        about = f"whether a span is an entity, for each that scores above {LEAST_SCORE}"
        return LabelledLogits(logits, labels, texts, missed=sum(map(len, true)) - sum(labels), about=about)
