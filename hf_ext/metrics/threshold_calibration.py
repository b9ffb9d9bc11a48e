"""Thresholds that give the best F1 on validation data, for labels that are found where a score is high enough.

Every threshold that makes a difference is tried, in one sweep over the sorted scores.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_IGNORED = -100


def calibrate_thresholds(scores: Any, labels: Any, per_class: bool = True) -> tuple[NDArray[Any], NDArray[Any]]:
    """Thresholds of a multi-label classifier with the best F1 on validation data.

    Class c is predicted where ``scores[:, c] > thresholds[c]``.

    Args:
        scores: ``[N, C]``, any that grow with the confidence, such as logits.
        labels: ``[N, C]`` of 0 and 1, -100 to leave an entry out.
        per_class: a threshold for each class, which gives each its best F1 and so the best macro F1; or one for all,
            which gives the best micro F1. With few positives a class's own threshold fits noise.

    Returns:
        float64 ``[C]`` thresholds, +inf where there is nothing to be found; and the F1 they give on this data, ``[C]``,
        or ``[1]`` of all together.

    Raises:
        ValueError: if shapes differ or are empty, a label is neither 0, 1 nor -100, or a score is NaN.
    """
    scores, labels = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    if scores.ndim != 2 or not scores.size or labels.shape != scores.shape:
        wanted = f"both [N, C] and not empty, got {list(scores.shape)} and {list(labels.shape)}"
        raise ValueError(f"scores and labels must be {wanted}")
    wrong = labels[~np.isin(labels, (0, 1, _IGNORED))]
    if wrong.size:
        raise ValueError(f"labels must be 0, 1 or {_IGNORED}, got {wrong[0]}")
    _check_numbers(scores)
    classes = scores.shape[1]
    hits = labels == 1
    scores = np.where(labels == _IGNORED, -np.inf, scores)
    if not per_class:
        scores, hits = scores.reshape(-1, 1), hits.reshape(-1, 1)
    thresholds, f1 = _sweep(scores, hits, hits.sum(axis=0))
    return np.resize(thresholds, classes), f1


def calibrate_span_thresholds(
    predictions: Any, labels: Any, num_labels: int, per_class: bool = True
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Thresholds of span extraction with the best F1 on validation data.

    A span of type c is predicted where its score is above ``thresholds[c]``.

    Args:
        predictions: ``[N, K, 4]`` of (label, start, end, score), padded with label -1, as span models return them and
            Trainer's ``predict`` joins them. Spans that are not among them count as missed, whatever the threshold.
        labels: ``[N, M, 3]`` of (label, start, end), padded with -100.
        num_labels: number of types C.
        per_class: a threshold for each type, or one for all.

    Returns:
        float64 ``[C]`` thresholds, +inf where there is nothing to be found; and the F1 they give on this data, ``[C]``,
        or ``[1]`` of all together.

    Raises:
        ValueError: if a shape is wrong, the numbers of rows differ, a label is out of range or a score NaN.
    """
    found, true = np.asarray(predictions, dtype=np.float64), np.asarray(labels)
    for name, array, width in (("predictions", found, 4), ("labels", true, 3)):
        if array.ndim != 3 or array.shape[-1] != width:
            raise ValueError(f"{name} must be an array [rows, spans, {width}], got {list(array.shape)}")
        if array.size and array[..., 0].max() >= num_labels:
            raise ValueError(f"{name} must have labels below num_labels, {num_labels}, got {int(array[..., 0].max())}")
    if len(found) != len(true):
        raise ValueError(f"predictions must have as many rows as labels, {len(true)}, got {len(found)}")
    rows, places = np.nonzero(found[..., 0] >= 0)
    spans, scores = found[rows, places, :3].astype(np.int64), found[rows, places, 3]
    _check_numbers(scores)
    # Best first, so that of a span given twice the better one is kept.
    order = np.argsort(-scores, kind="stable")
    keys = np.column_stack((rows, spans))[order]
    keys, first = np.unique(keys, axis=0, return_index=True)
    scores = scores[order][first]
    rows, places = np.nonzero(true[..., 0] >= 0)
    true_keys = np.unique(np.column_stack((rows, true[rows, places].astype(np.int64))), axis=0)
    wanted = {tuple(key) for key in true_keys.tolist()}
    hits = np.array([tuple(key) in wanted for key in keys.tolist()], dtype=bool)
    if not per_class:
        threshold, f1 = _sweep(scores[:, None], hits[:, None], np.array([len(wanted)]))
        return np.resize(threshold, num_labels), f1
    counts = np.bincount(true_keys[:, 1], minlength=num_labels)
    pairs = [
        _sweep(scores[mine, None], hits[mine, None], counts[label, None])
        for label, mine in ((label, keys[:, 1] == label) for label in range(num_labels))
    ]
    return np.concatenate([pair[0] for pair in pairs]), np.concatenate([pair[1] for pair in pairs])


def _sweep(scores: NDArray[Any], hits: NDArray[Any], positives: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The best threshold and its F1 for each column of ``[M, C]`` scores and hits; ``positives`` ``[C]`` in all."""
    count, classes = scores.shape
    if not count:
        return np.full(classes, np.inf), np.zeros(classes)
    order = np.argsort(-scores, axis=0, kind="stable")
    scores, hits = np.take_along_axis(scores, order, 0), np.take_along_axis(hits, order, 0)
    predicted = np.arange(1, count + 1)[:, None]
    f1 = 2 * hits.cumsum(axis=0) / (predicted + positives)
    below = np.concatenate((scores[1:], np.full((1, classes), -np.inf)))
    # Equal scores are predicted together; what has a score of -inf is not there.
    f1[(scores == below) | (scores == -np.inf)] = 0
    best = f1.argmax(axis=0), np.arange(classes)
    above, next_ = scores[best], below[best]
    # No score lies between; a step down does where nothing finite follows, or no number fits between the two.
    middle = np.where(np.isfinite(next_) & np.isfinite(above), above / 2 + next_ / 2, np.nextafter(above, -np.inf))
    middle = np.where(middle < above, middle, next_)
    return np.where(f1[best] > 0, middle, np.inf), f1[best]


def _check_numbers(scores: NDArray[Any]) -> None:
    if np.isnan(scores).any():
        raise ValueError("scores must be numbers, got nan")
