"""Metrics that work offline."""

from typing import TYPE_CHECKING

from hf_ext.lazy_names import lazy_names
from hf_ext.metrics.events import compute_event_metrics, event_metrics, event_scores
from hf_ext.metrics.exact_spans import compute_span_metrics, span_metrics, span_scores
from hf_ext.metrics.reading import compute_reading_metrics, reading_metrics, reading_scores
from hf_ext.metrics.summaries import summary_metrics, summary_scores
from hf_ext.metrics.triples import compute_relation_metrics, relation_metrics, relation_scores

if TYPE_CHECKING:
    from hf_ext.metrics.reading_metric import ReadingMetric
    from hf_ext.metrics.span_metric import SpanMetric

__all__ = [
    "ReadingMetric",
    "SpanMetric",
    "compute_event_metrics",
    "compute_reading_metrics",
    "compute_relation_metrics",
    "compute_span_metrics",
    "event_metrics",
    "event_scores",
    "reading_metrics",
    "reading_scores",
    "relation_metrics",
    "relation_scores",
    "span_metrics",
    "span_scores",
    "summary_metrics",
    "summary_scores",
]

# The library `evaluate` is imported with it.
__getattr__, __dir__ = lazy_names(
    __name__,
    {"hf_ext.metrics.reading_metric": ("ReadingMetric",), "hf_ext.metrics.span_metric": ("SpanMetric",)},
)
