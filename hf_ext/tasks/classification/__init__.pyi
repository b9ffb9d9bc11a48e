from .evaluate_metric import ClassificationMetric as ClassificationMetric
from .files import (
    label_names as label_names,
    read_labelled_texts as read_labelled_texts,
)
from .job import (
    ClassificationJob as ClassificationJob,
    encode_labelled_texts as encode_labelled_texts,
)
from .metrics import (
    classification_compute_metrics as classification_compute_metrics,
    classification_scores as classification_scores,
)
from .pipeline import ClassificationPipeline as ClassificationPipeline
