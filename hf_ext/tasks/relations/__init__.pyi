from .encoding import (
    DataCollatorForRelationExtraction as DataCollatorForRelationExtraction,
    RelationEncoder as RelationEncoder,
    decode_relation_dataset as decode_relation_dataset,
)
from .evaluate_metric import RelationMetric as RelationMetric
from .files import (
    read_relation_schema as read_relation_schema,
    read_relations as read_relations,
    relation_labels as relation_labels,
)
from .job import RelationExtractionJob as RelationExtractionJob
from .metrics import (
    relation_compute_metrics as relation_compute_metrics,
    relation_scores as relation_scores,
)
from .pipeline import RelationExtractionPipeline as RelationExtractionPipeline
from .pointer_encoding import (
    DataCollatorForHalfPointers as DataCollatorForHalfPointers,
    HalfPointerEncoder as HalfPointerEncoder,
    draw_subject as draw_subject,
    join_by_subject as join_by_subject,
)
from .pointer_job import HalfPointerRelationJob as HalfPointerRelationJob
from .pointer_pipeline import HalfPointerRelationPipeline as HalfPointerRelationPipeline
