from .class_scores import (
    classification_compute_metrics as classification_compute_metrics,
    classification_scores as classification_scores,
)
from .comparison import (
    Comparison as Comparison,
    Item as Item,
    Outcome as Outcome,
    pair_items as pair_items,
)
from .error_report import error_report as error_report
from .exact_spans import (
    span_compute_metrics as span_compute_metrics,
    span_scores as span_scores,
)
from .perplexity import (
    next_token_sums as next_token_sums,
    perplexity_metrics as perplexity_metrics,
)
from .threshold_calibration import (
    calibrate_span_thresholds as calibrate_span_thresholds,
    calibrate_thresholds as calibrate_thresholds,
)
