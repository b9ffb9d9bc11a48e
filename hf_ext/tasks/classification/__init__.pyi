from .files import (
    label_names as label_names,
)
from .files import (
    read_labelled_texts as read_labelled_texts,
)
from .job import (
    ClassificationJob as ClassificationJob,
)
from .job import (
    encode_labelled_texts as encode_labelled_texts,
)
from .metrics import (
    classification_compute_metrics as classification_compute_metrics,
)
from .metrics import (
    classification_scores as classification_scores,
)
from .pipeline import ClassificationPipeline as ClassificationPipeline
