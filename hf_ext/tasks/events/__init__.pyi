from .encoding import (
    DataCollatorForEventExtraction as DataCollatorForEventExtraction,
    EventEncoder as EventEncoder,
    decode_event_dataset as decode_event_dataset,
)
from .evaluate_metric import EventMetric as EventMetric
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
from .tag_encoding import (
    EventTagEncoder as EventTagEncoder,
    events_of_spans as events_of_spans,
    spans_of_events as spans_of_events,
)
from .tag_job import EventTaggingJob as EventTaggingJob
from .tag_pipeline import EventTaggingPipeline as EventTaggingPipeline
