"""Precision, recall and F1 of whole events and of their arguments, as GPLinker scores them."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from hf_ext.metrics.exact_spans import exact_scores, token_tables
from hf_ext.tasks.events.labels import TRIGGER, split_event_label

if TYPE_CHECKING:
    from transformers import EvalPrediction

Pairs = list[tuple[str, Hashable]]


def event_scores(
    predictions: Sequence[Iterable[Mapping[str, Any]]], references: Sequence[Iterable[Mapping[str, Any]]]
) -> dict[str, Any]:
    """Score predicted events by their arguments and as a whole.

    An argument counts when the type of its event, its role, start and end are right; triggers are none. An event
    counts when its type and all its arguments, trigger included, are those of a true event; one
    found without a trigger is none if true events have them.

    Args:
        predictions: for each text events ``{"type", "arguments": [{"role", "start", "end"}]}``.
        references: the same for the true events.

    Returns:
        Of arguments as :func:`hf_ext.metrics.span_scores`, with types of events for types, and of whole events
        ``event_precision``, ``event_recall``, ``event_f1`` and ``event_support``.

    Raises:
        ValueError: if the numbers of texts differ.
    """
    found, true = ([list(map(_event, events)) for events in rows] for rows in (predictions, references))
    return _scores(found, true)


def event_compute_metrics(id2label: Mapping[int, str]) -> partial[dict[str, float]]:
    """What ``Trainer(compute_metrics=...)`` takes for an event extraction head, rows as separate texts.

    It takes ``predictions`` ``[N, K, 5]`` and ``label_ids`` ``[N, M, 4]`` of (event, label, first token, last token),
    a score last; rows with a negative event are padding. It gives ``precision``, ``recall`` and ``f1`` of arguments,
    and ``event_f1``, and raises ValueError if a shape is another, the numbers of rows differ, or a label has no name.

    Args:
        id2label: ``"type|role"`` of each label.
    """
    return partial(_event_metrics, id2label=dict(id2label))


def _event_metrics(eval_prediction: "EvalPrediction", id2label: Mapping[int, str]) -> dict[str, float]:
    sides = []
    for table in token_tables(eval_prediction, 4, "arguments", id2label, label=1):
        rows: list[list[list[int]]] = [[] for _ in eval_prediction.label_ids]
        for row, *argument in table.tolist():
            rows[row].append(argument)
        sides.append([_of_row(row, id2label) for row in rows])
    scores = _scores(*sides)
    return {name: scores[name] for name in ("precision", "recall", "f1", "event_f1")}


def _event(event: Mapping[str, Any]) -> tuple[str, frozenset[tuple[str, int, int]]]:
    return event["type"], frozenset((one["role"], one["start"], one["end"]) for one in event["arguments"])


def _of_row(row: Iterable[Sequence[int]], id2label: Mapping[int, str]) -> list[tuple[str, frozenset[Any]]]:
    events: dict[int, list[tuple[int, ...]]] = {}
    for event, *argument in row:
        events.setdefault(event, []).append(tuple(argument))
    return [
        (
            split_event_label(id2label[arguments[0][0]])[0],
            frozenset((split_event_label(id2label[label])[1], start, end) for label, start, end in arguments),
        )
        for arguments in events.values()
    ]


def _scores(
    found: Sequence[Sequence[tuple[str, frozenset[Any]]]], true: Sequence[Sequence[tuple[str, frozenset[Any]]]]
) -> dict[str, Any]:
    def arguments(row: Iterable[tuple[str, frozenset[Any]]]) -> Pairs:
        return [(kind, one) for kind, event in row for one in event if one[0] != TRIGGER]

    # Where events have triggers, what is found without one is part of an event, and none by itself.
    if any(role == TRIGGER for row in true for _, event in row for role, _, _ in event):
        complete = [[one for one in row if any(role == TRIGGER for role, _, _ in one[1])] for row in found]
    else:
        complete = list(map(list, found))
    whole = exact_scores(complete, true)
    scores = exact_scores([arguments(row) for row in found], [arguments(row) for row in true])
    return scores | {f"event_{name}": whole[name] for name in ("precision", "recall", "f1", "support")}
