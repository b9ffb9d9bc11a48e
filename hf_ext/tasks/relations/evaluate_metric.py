"""Scores of relations as a metric of the ``evaluate`` library; needs no download."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import evaluate
from datasets import Features, List, Value

from hf_ext.tasks.relations.metrics import relation_scores

_TEXT = {"text": Value("string")}
_RELATIONS = List(
    {
        "predicate": Value("string"),
        "subject": _TEXT,
        "object": _TEXT,
        "slots": List({"name": Value("string"), "text": Value("string")}),
    }
)


class RelationMetric(evaluate.Metric):
    """Scores of relations, those of :func:`hf_ext.tasks.relations.relation_scores`, as an ``evaluate.Metric``.

    Relations are those that a pipeline returns or a reader reads, of which the strings count. For distributed use pass
    ``num_process``, ``process_id`` and ``experiment_id`` as for any metric.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Precision, recall and F1 of relations by the strings of subject, object and slots.",
            citation="",
            inputs_description="predictions and references: for each text its relations.",
            features=Features({"predictions": _RELATIONS, "references": _RELATIONS}),
        )

    def add(self, *, prediction: Iterable[Any], reference: Iterable[Any]) -> None:
        """Add the relations of one text."""
        self.add_batch(predictions=[prediction], references=[reference])

    def add_batch(self, *, predictions: Sequence[Iterable[Any]], references: Sequence[Iterable[Any]]) -> None:
        """Add the relations of several texts."""
        super().add_batch(predictions=_plain(predictions), references=_plain(references))

    def _compute(self, predictions: Any, references: Any, predicates: Iterable[str] | None = None) -> dict[str, Any]:
        return relation_scores(predictions, references, predicates)


def _plain(texts: Sequence[Iterable[Mapping[str, Any]]]) -> list[list[dict[str, Any]]]:
    return [
        [
            {
                "predicate": one["predicate"],
                "subject": {"text": one["subject"]["text"]},
                "object": {"text": one["object"]["text"]},
                "slots": [{"name": slot["name"], "text": slot["text"]} for slot in one.get("slots") or ()],
            }
            for one in relations
        ]
        for relations in texts
    ]
