from .encoding import (
    DataCollatorForRelationExtraction as DataCollatorForRelationExtraction,
    RelationEncoder as RelationEncoder,
    decode_relation_dataset as decode_relation_dataset,
)
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
