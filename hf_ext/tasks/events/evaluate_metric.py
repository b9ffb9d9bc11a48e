"""Scores of events as a metric of the ``evaluate`` library; needs no download."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import evaluate
from datasets import Features, List, Value

from hf_ext.tasks.events.metrics import event_scores

_EVENTS = List(
    {
        "type": Value("string"),
        "arguments": List({"role": Value("string"), "start": Value("int64"), "end": Value("int64")}),
    }
)


class EventMetric(evaluate.Metric):
    """Scores of events, those of :func:`hf_ext.tasks.events.event_scores`, as an ``evaluate.Metric``.

    Events are those that a pipeline returns or a reader reads, of which types, roles and places count. For distributed
    use pass ``num_process``, ``process_id`` and ``experiment_id`` as for any metric.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Precision, recall and F1 of the arguments of events, and of whole events.",
            citation="",
            inputs_description="predictions and references: for each text its events, with type and arguments.",
            features=Features({"predictions": _EVENTS, "references": _EVENTS}),
        )

    def add(self, *, prediction: Iterable[Any], reference: Iterable[Any]) -> None:
        """Add the events of one text."""
        self.add_batch(predictions=[prediction], references=[reference])

    def add_batch(self, *, predictions: Sequence[Iterable[Any]], references: Sequence[Iterable[Any]]) -> None:
        """Add the events of several texts."""
        super().add_batch(predictions=_plain(predictions), references=_plain(references))

    def _compute(self, predictions: Any, references: Any) -> dict[str, Any]:
        return event_scores(predictions, references)


def _plain(texts: Sequence[Iterable[Mapping[str, Any]]]) -> list[list[dict[str, Any]]]:
    return [
        [
            {
                "type": event["type"],
                "arguments": [{name: one[name] for name in ("role", "start", "end")} for one in event["arguments"]],
            }
            for event in events
        ]
        for events in texts
    ]
