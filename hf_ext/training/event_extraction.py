"""The job of `hf-ext train events`: GPLinker on files of texts with events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset

from hf_ext.data import (
    DataCollatorForEventExtraction,
    EventEncoder,
    decode_event_dataset,
    event_labels,
    read_event_schema,
    read_events,
)
from hf_ext.heads import AutoModelForEventExtraction
from hf_ext.metrics import event_metrics, event_scores
from hf_ext.training.linked_spans import LinkedSpanJob


@dataclass
class EventExtractionJob(LinkedSpanJob):
    """Files in a format of :func:`hf_ext.data.read_events`; scores as :func:`hf_ext.metrics.event_scores`."""

    auto_class: ClassVar[Any] = AutoModelForEventExtraction
    encoder_class: ClassVar[type[EventEncoder]] = EventEncoder
    collator_class: ClassVar[type[DataCollatorForEventExtraction]] = DataCollatorForEventExtraction

    def read(self, path: Path, labels: Sequence[str] | None) -> list[dict[str, Any]]:
        """Texts with events."""
        return read_events(path, labels)

    def read_schema(self, path: Path) -> list[str]:
        """Labels."""
        return read_event_schema(path)

    def labels_of(self, examples: Sequence[Mapping[str, Any]]) -> list[str]:
        """Labels that occur."""
        return event_labels(examples)

    def metrics(self, id2label: Mapping[int, str]) -> Any:
        """Scores of arguments on tokens."""
        return event_metrics(id2label)

    def scores(
        self,
        predictions: Any,
        encoded: Dataset,
        examples: Sequence[Mapping[str, Any]],
        id2label: Mapping[int, str],
    ) -> dict[str, Any]:
        """Scores of arguments and of whole events."""
        found = decode_event_dataset(predictions, encoded, [example["text"] for example in examples], id2label)
        return event_scores(found, [example["events"] for example in examples])
