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
from .tag_encoding import (
    TagEncoder as TagEncoder,
    tags_to_predictions as tags_to_predictions,
)
from .tag_job import SequenceLabelingJob as SequenceLabelingJob
from .tag_metrics import tag_compute_metrics as tag_compute_metrics
from .tag_pipeline import SequenceLabelingPipeline as SequenceLabelingPipeline
from .tag_schemes import (
    spans_to_tags as spans_to_tags,
    tags_of_labels as tags_of_labels,
    tags_to_spans as tags_to_spans,
)
