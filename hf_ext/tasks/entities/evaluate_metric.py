"""Exact span scores as a metric of the ``evaluate`` library; needs no download."""

from collections.abc import Iterable, Sequence
from typing import Any

import evaluate
from datasets import Features, List, Value

from hf_ext.metrics.exact_spans import as_tuple, span_scores

_SPANS = List({"label": Value("string"), "start": Value("int64"), "end": Value("int64")})


class SpanMetric(evaluate.Metric):
    """Scores of exact spans, those of :func:`hf_ext.metrics.span_scores`, as an ``evaluate.Metric``.

    Spans are (label, start, end) tuples or mappings with these keys, such as a pipeline returns. For distributed use
    pass ``num_process``, ``process_id`` and ``experiment_id`` as for any metric.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Precision, recall and F1 of exactly matching labelled spans, nested ones included.",
            citation="",
            inputs_description="predictions and references: for each text its spans, with label, start and end.",
            features=Features({"predictions": _SPANS, "references": _SPANS}),
        )

    def add(self, *, prediction: Iterable[Any], reference: Iterable[Any]) -> None:
        """Add the spans of one text."""
        self.add_batch(predictions=[prediction], references=[reference])

    def add_batch(self, *, predictions: Sequence[Iterable[Any]], references: Sequence[Iterable[Any]]) -> None:
        """Add the spans of several texts."""
        super().add_batch(predictions=_plain(predictions), references=_plain(references))

    def _compute(self, predictions: Any, references: Any, labels: Iterable[str] | None = None) -> dict[str, Any]:
        return span_scores(predictions, references, labels)


def _plain(texts: Sequence[Iterable[Any]]) -> list[list[dict[str, Any]]]:
    return [[dict(zip(("label", "start", "end"), as_tuple(span))) for span in spans] for spans in texts]
