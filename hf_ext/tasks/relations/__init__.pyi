from .encoding import (
    DataCollatorForRelationExtraction as DataCollatorForRelationExtraction,
)
from .encoding import (
    RelationEncoder as RelationEncoder,
)
from .encoding import (
    decode_relation_dataset as decode_relation_dataset,
)
from .files import (
    read_relation_schema as read_relation_schema,
)
from .files import (
    read_relations as read_relations,
)
from .files import (
    relation_labels as relation_labels,
)
from .job import RelationExtractionJob as RelationExtractionJob
from .metrics import (
    relation_compute_metrics as relation_compute_metrics,
)
from .metrics import (
    relation_scores as relation_scores,
)
from .pipeline import RelationExtractionPipeline as RelationExtractionPipeline
