"""The job of `hf-ext train events`: GPLinker on files of texts with events."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hf_ext.tasks.base.auto_class import AutoModelForEventExtraction
from hf_ext.tasks.base.extraction_job import LinkedSpanJob
from hf_ext.tasks.base.option import option
from hf_ext.tasks.events.encoding import DataCollatorForEventExtraction, EventEncoder, decode_event_dataset
from hf_ext.tasks.events.files import event_labels, read_event_schema, read_events
from hf_ext.tasks.events.metrics import event_metrics, event_scores


@dataclass
class EventExtractionJob(LinkedSpanJob):
    """Event extraction with GPLinker, shared arguments included.

    Files in a format of :func:`~hf_ext.tasks.events.read_events`, scored by `event_scores`.
    """

    train_file: Path = option("Texts with events: JSON lines or DuEE 1.0.", group="Files")
    schema_file: Path | None = option(
        "DuEE's schema; else the types and roles of the training file.", None, group="Files"
    )

    command: ClassVar[str] = "events"

    auto_class = AutoModelForEventExtraction
    encoder_class = EventEncoder
    collator_class = DataCollatorForEventExtraction
    read = staticmethod(read_events)
    read_schema = staticmethod(read_event_schema)
    labels_of = staticmethod(event_labels)
    metrics = staticmethod(event_metrics)
    decode = staticmethod(decode_event_dataset)
    score = staticmethod(event_scores)
