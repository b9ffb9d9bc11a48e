"""The job of `hf-ext train events`: GPLinker on files of texts with events."""

from dataclasses import dataclass

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

    auto_class = AutoModelForEventExtraction
    encoder_class = EventEncoder
    collator_class = DataCollatorForEventExtraction
    read = staticmethod(read_events)
    read_schema = staticmethod(read_event_schema)
    labels_of = staticmethod(event_labels)
    metrics = staticmethod(event_metrics)
    decode = staticmethod(decode_event_dataset)
    score = staticmethod(event_scores)
