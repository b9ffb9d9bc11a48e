"""Scores of classes as a metric of the ``evaluate`` library; needs no download."""

from collections.abc import Iterable, Sequence
from typing import Any

import evaluate
from datasets import Features, List, Value

from hf_ext.metrics.class_scores import classification_scores

_CLASSES = List(Value("string"))


class ClassificationMetric(evaluate.Metric):
    """Scores of classes, those of :func:`hf_ext.metrics.classification_scores`, as an ``evaluate.Metric``.

    Predictions and references are lists of classes by their names, of one or any number. For distributed use pass
    ``num_process``, ``process_id`` and ``experiment_id`` as for any metric.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Accuracy, and micro and macro averages of precision, recall and F1 of classes.",
            citation="",
            inputs_description="predictions and references: for each text the names of its classes.",
            features=Features({"predictions": _CLASSES, "references": _CLASSES}),
        )

    def _compute(
        self,
        predictions: Sequence[Iterable[str]],
        references: Sequence[Iterable[str]],
        labels: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        return classification_scores(predictions, references, labels)
