"""Precision, recall and F1 of exact spans, nested and overlapping ones included."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from transformers import EvalPrediction

Span = tuple[Hashable, int, int]


def span_scores(
    predictions: Sequence[Iterable[Any]],
    references: Sequence[Iterable[Any]],
    labels: Iterable[Hashable] | None = None,
) -> dict[str, Any]:
    """Score predicted spans against reference spans: a span counts when its label, start and end are all right.

    Repeated spans of a text count once. A ratio with the denominator 0 is 0. The macro average is over the labels that
    occur in the predictions or the references.

    Args:
        predictions: for each text its spans, as (label, start, end) or as mappings with these keys.
        references: the same for the true spans.
        labels: the labels to score, others are ignored; all that occur by default.

    Returns:
        ``precision``, ``recall``, ``f1`` and ``support`` (number of reference spans) over all spans,
        ``macro_precision``, ``macro_recall``, ``macro_f1``, and ``per_type``: the first four for each label.

    Raises:
        ValueError: if the numbers of texts differ.
    """
    if len(predictions) != len(references):
        raise ValueError(
            f"predictions must be for as many texts as references, {len(references)}, got {len(predictions)}"
        )
    matched: Counter[Hashable] = Counter()
    predicted: Counter[Hashable] = Counter()
    expected: Counter[Hashable] = Counter()
    for found, true in zip(predictions, references):
        found_spans, true_spans = set(map(as_tuple, found)), set(map(as_tuple, true))
        predicted.update(label for label, _, _ in found_spans)
        expected.update(label for label, _, _ in true_spans)
        matched.update(label for label, _, _ in found_spans & true_spans)
    names = sorted(predicted | expected, key=str) if labels is None else list(labels)
    counts = np.array([[matched[name], predicted[name], expected[name]] for name in names], dtype=np.int64)
    return _summary(names, counts.reshape(-1, 3))


def exact_scores(
    predictions: Sequence[Iterable[tuple[str, Hashable]]],
    references: Sequence[Iterable[tuple[str, Hashable]]],
    labels: Iterable[str] | None = None,
) -> dict[str, Any]:
    """Scores of (label, thing) pairs that are right when they are equal, as `span_scores` of spans."""
    numbers: dict[Hashable, int] = {}

    def numbered(rows: Sequence[Iterable[tuple[str, Hashable]]]) -> list[list[tuple[str, int, int]]]:
        return [[(label, numbers.setdefault(thing, len(numbers)), 0) for label, thing in row] for row in rows]

    return span_scores(numbered(predictions), numbered(references), labels)


def compute_span_metrics(eval_prediction: "EvalPrediction", id2label: Mapping[int, str]) -> dict[str, float]:
    """Score the token spans that a span-extraction head gives to ``Trainer``; rows are scored as separate texts.

    Args:
        eval_prediction: ``predictions`` ``[N, K, 4]`` of (label, start, end, score) and ``label_ids`` ``[N, M, 3]`` of
            (label, start, end); rows with a negative label are padding.
        id2label: label of each id.

    Returns:
        ``precision``, ``recall``, ``f1``, ``macro_f1`` as in :func:`span_scores`, and ``f1_<label>`` for each label.

    Raises:
        ValueError: if a shape is another, the numbers of rows differ, or a label has no name.
    """
    predictions, label_ids = eval_prediction.predictions, eval_prediction.label_ids
    found = _span_rows("predictions", predictions, 4, len(id2label))
    true = _span_rows("label_ids", label_ids, 3, len(id2label))
    if len(predictions) != len(label_ids):
        raise ValueError(f"predictions must have as many rows as label_ids, {len(label_ids)}, got {len(predictions)}")
    # Each span as a single number, so that sets of them are sorted arrays.
    shape = np.concatenate([found, true, np.zeros((1, 4), dtype=np.int64)]).max(axis=0) + 1
    found_keys, true_keys = (np.unique(np.ravel_multi_index(tuple(spans.T), tuple(shape))) for spans in (found, true))
    matched_keys = np.intersect1d(found_keys, true_keys, assume_unique=True)
    # The label is the last digit of a number.
    counts = [np.bincount(keys % shape[-1], minlength=len(id2label)) for keys in (matched_keys, found_keys, true_keys)]
    names = [id2label[label] for label in range(len(id2label))]
    summary = _summary(names, np.stack(counts, axis=1))
    per_type = {f"f1_{name}": scores["f1"] for name, scores in summary["per_type"].items()}
    return {name: summary[name] for name in ("precision", "recall", "f1", "macro_f1")} | per_type


def span_metrics(id2label: Mapping[int, str]) -> partial[dict[str, float]]:
    """:func:`compute_span_metrics` with the labels given, as ``Trainer(compute_metrics=...)`` wants it."""
    return partial(compute_span_metrics, id2label=dict(id2label))


def as_tuple(span: Any) -> Span:
    """(label, start, end) of a span given so or as a mapping with these keys."""
    if isinstance(span, Mapping):
        return span["label"], int(span["start"]), int(span["end"])
    label, start, end = span
    return label, int(start), int(end)


def _span_rows(name: str, array: Any, width: int, labels: int) -> np.ndarray:
    """``[S, 4]`` integers (row, start, end, label) of the spans that are not padding."""
    if not isinstance(array, np.ndarray) or array.ndim != 3 or array.shape[-1] != width:
        shape = getattr(array, "shape", type(array).__name__)
        raise ValueError(f"{name} must be an array [rows, spans, {width}], got {shape}")
    rows, spans = np.nonzero(array[..., 0] >= 0)
    label, start, end = array[rows, spans, :3].astype(np.int64).T
    if label.size and label.max() >= labels:
        raise ValueError(f"{name} must have labels below {labels}, the size of id2label, got {label.max()}")
    return np.stack([rows, start, end, label], axis=1)


def _summary(names: Sequence[Hashable], counts: np.ndarray) -> dict[str, Any]:
    """Scores from ``counts`` ``[C, 3]`` of matched, predicted and expected spans of each label."""
    each = [_ratios(*row) for row in counts.tolist()]
    occurring = [scores for scores, row in zip(each, counts.tolist()) if row[1] or row[2]]
    micro = _ratios(*counts.sum(axis=0).tolist())
    macro = {f"macro_{key}": _mean([scores[key] for scores in occurring]) for key in ("precision", "recall", "f1")}
    return {**micro, **macro, "per_type": dict(zip(names, each))}


def _ratios(matched: int, predicted: int, expected: int) -> dict[str, Any]:
    return {
        "precision": matched / predicted if predicted else 0.0,
        "recall": matched / expected if expected else 0.0,
        "f1": 2 * matched / (predicted + expected) if predicted + expected else 0.0,
        "support": expected,
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
