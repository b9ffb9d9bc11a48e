from .encoding import (
    DataCollatorForEventExtraction as DataCollatorForEventExtraction,
    EventEncoder as EventEncoder,
    decode_event_dataset as decode_event_dataset,
)
from .files import (
    event_labels as event_labels,
    read_event_schema as read_event_schema,
    read_events as read_events,
)
from .job import EventExtractionJob as EventExtractionJob
from .metrics import (
    event_compute_metrics as event_compute_metrics,
    event_scores as event_scores,
)
from .pipeline import EventExtractionPipeline as EventExtractionPipeline
