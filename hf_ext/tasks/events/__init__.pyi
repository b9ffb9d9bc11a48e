from .encoding import (
    DataCollatorForEventExtraction as DataCollatorForEventExtraction,
)
from .encoding import (
    EventEncoder as EventEncoder,
)
from .encoding import (
    decode_event_dataset as decode_event_dataset,
)
from .files import (
    event_labels as event_labels,
)
from .files import (
    read_event_schema as read_event_schema,
)
from .files import (
    read_events as read_events,
)
from .job import EventExtractionJob as EventExtractionJob
from .metrics import (
    event_compute_metrics as event_compute_metrics,
)
from .metrics import (
    event_scores as event_scores,
)
from .pipeline import EventExtractionPipeline as EventExtractionPipeline
