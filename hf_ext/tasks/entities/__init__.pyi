from .evaluate_metric import SpanMetric as SpanMetric
from .example import (
    EntityDataError as EntityDataError,
    EntityExample as EntityExample,
)
from .files import (
    entity_labels as entity_labels,
    read_entities as read_entities,
    write_entities as write_entities,
)
from .span_job import SpanExtractionJob as SpanExtractionJob
from .span_pipeline import SpanExtractionPipeline as SpanExtractionPipeline
from .tag_job import SequenceLabelingJob as SequenceLabelingJob
from .tag_pipeline import SequenceLabelingPipeline as SequenceLabelingPipeline
