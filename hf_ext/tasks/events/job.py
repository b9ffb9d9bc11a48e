"""The main job of `hf-ext train events`: GPLinker on files of texts with events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset
from transformers import PreTrainedModel

from hf_ext.metrics.comparison import Item
from hf_ext.tasks.base.extraction_job import LinkedSpanJob, SchemaJob
from hf_ext.tasks.base.option import option
from hf_ext.tasks.events.encoding import (
    DataCollatorForEventExtraction,
    EventEncoder,
    decode_event_dataset,
    with_trigger,
)
from hf_ext.tasks.events.files import event_labels, read_event_schema, read_events
from hf_ext.tasks.events.head import AutoModelForEventExtraction
from hf_ext.tasks.events.labels import TRIGGER
from hf_ext.tasks.events.metrics import event_compute_metrics, event_scores


@dataclass
class EventJob(SchemaJob):
    """What jobs on texts with events share; a subclass names the head.

    Files in a format of :func:`~hf_ext.tasks.events.read_events`, scored by `event_scores`.
    """

    train_file: Path = option(
        "Texts with events: JSON lines, DuEE 1.0, DuEE-fin, doccano, label-studio or brat.", None, group="Files"
    )
    schema_file: Path | None = option(
        "DuEE's schema; else the types and roles of the training file.", None, group="Files"
    )

    label_key: ClassVar[str | None] = "events"

    def read_file(self, path: Path, labels: Sequence[str] | None) -> list[dict[str, Any]]:
        """Texts with events."""
        return read_events(path, labels)

    def read_schema(self, path: Path) -> list[str]:
        """Names of types with their roles."""
        return read_event_schema(path)

    def labels_of(self, examples: Sequence[Mapping[str, Any]]) -> list[str]:
        """Names of types with their roles."""
        return event_labels(examples)

    def exact_scores(self, found: Any, true: Any, config: Any) -> dict[str, Any]:
        """Scores of events on the characters of the texts."""
        return event_scores(found, true)

    def items(self, text: str, annotations: Sequence[Mapping[str, Any]]) -> Sequence[Item]:
        """The arguments of the events, triggers aside: what scores but those of whole events are of."""
        items = []
        for event in annotations:
            spans = [(one["role"], one["start"], one["end"]) for one in event["arguments"]]
            triggers = tuple(span for span in spans if span[0] == TRIGGER)
            items += [
                Item(
                    event["type"],
                    (start, end),
                    text[start:end],
                    (("", start, end),),
                    more_spans=triggers,
                    role=role,
                    score=event.get("score"),
                )
                for role, start, end in spans
                if role != TRIGGER
            ]
        return items


@dataclass
class EventExtractionJob(EventJob, LinkedSpanJob):
    """Event extraction with GPLinker, shared arguments included, or of arguments with tags by a CRF."""

    head: str | None = option(
        "How events are found: by linked arguments, triggers among them, or by tags of arguments; else gplinker.",
        None,
        group="Head",
        choices=("gplinker",),
    )

    command: ClassVar[str] = "events"
    auto_class: ClassVar[Any] = AutoModelForEventExtraction
    # Events are put together of what links there are.
    keeps_what_scores_more: ClassVar[bool] = False
    encoder_class = EventEncoder
    collator_class = DataCollatorForEventExtraction

    def compute_metrics(self, id2label: Any) -> Any:
        """Scores of events of tokens."""
        return event_compute_metrics(id2label)

    def predictions(
        self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel
    ) -> list[dict[str, Any]]:
        """Each text with its events, as the pipeline has them: those with a trigger, if there are triggers."""
        names: Any = model.config.id2label
        return super().predictions([with_trigger(own, names) for own in found], examples, model)

    def decode(self, predictions: Any, rows: Dataset, texts: Sequence[str], config: Any) -> list[list[dict[str, Any]]]:
        """The events of each text."""
        return decode_event_dataset(predictions, rows, texts, config.id2label)
