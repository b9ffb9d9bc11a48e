"""CMRC2018's scores as a metric of the ``evaluate`` library; needs no download."""

from collections.abc import Sequence
from typing import Any

import evaluate
from datasets import Features, List, Value

from hf_ext.tasks.reading_comprehension.metrics import reading_scores


class ReadingMetric(evaluate.Metric):
    """Scores of answers, those of :func:`hf_ext.tasks.reading_comprehension.reading_scores`, as an ``evaluate.Metric``.

    Predictions are strings, ``""`` for no answer, or None for a question that was not answered; references are lists of
    true answers, empty where the text has none. For distributed use pass ``num_process``, ``process_id`` and
    ``experiment_id`` as for any metric.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Exact match and F1 of answers as in CMRC2018, questions without an answer as in SQuAD 2.0.",
            citation="",
            inputs_description="predictions: for each question an answer; references: for each all true answers.",
            features=Features({"predictions": Value("string"), "references": List(Value("string"))}),
        )

    def _compute(self, predictions: Sequence[str | None], references: Sequence[Sequence[str]]) -> dict[str, Any]:
        return reading_scores(predictions, references)
