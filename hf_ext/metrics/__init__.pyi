from .calibration import (
    LabelledLogits as LabelledLogits,
    calibration_bins as calibration_bins,
    calibration_report as calibration_report,
    expected_calibration_error as expected_calibration_error,
    fit_temperature as fit_temperature,
)
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
from .latent_report import (
    latent_table as latent_table,
    plot_latents as plot_latents,
)
from .latent_space import (
    gaussian_latents as gaussian_latents,
    point_latents as point_latents,
    sphere_latents as sphere_latents,
)
from .perplexity import (
    held_out_metrics as held_out_metrics,
    next_token_sums as next_token_sums,
    perplexity_metrics as perplexity_metrics,
    token_sums as token_sums,
)
from .reliability_plot import plot_reliability as plot_reliability
from .tag_scores import tag_compute_metrics as tag_compute_metrics
from .threshold_calibration import (
    calibrate_span_thresholds as calibrate_span_thresholds,
    calibrate_thresholds as calibrate_thresholds,
)
