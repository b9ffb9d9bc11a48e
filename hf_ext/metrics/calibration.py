"""How far the probabilities of a model are those with which it is right, and the temperature that mends them.

A temperature T divides the logits before the softmax or the logistic function (Guo et al. 2017,
arxiv.org/abs/1706.04599): no answer changes, only how sure the model says that it is.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

BINS = 15
FOLDS = 5
ALL_RIGHT = "every answer is right, so that the lower the temperature, the likelier they are"
NO_BETTER = "answers are no likelier than by chance, so that the higher the temperature, the likelier they are"


@dataclass(frozen=True)
class LabelledLogits:
    """Logits beside what is true.

    Attributes:
        logits: ``[N, C]`` of answers of which one is right, -inf of what is none; or ``[N]`` of what is so or is not.
        labels: ``[N]``, the right answer's number; or 1 of what is so and 0 of what is not.
        groups: ``[N]``, numbers of what belongs together, as the spans of a text; None: each is for itself.
        missed: how much that is so has no logit.
        about: what was counted, a sentence without its stop.
    """

    logits: Any
    labels: Any
    groups: Any = None
    missed: int = 0
    about: str = ""


def calibration_report(given: LabelledLogits, bins: int = BINS, folds: int = FOLDS, seed: int = 0) -> dict[str, Any]:
    """How well logits are calibrated, the temperature that is fitted to them, and how well they are with one.

    The temperature is that of the least negative log-likelihood of all rows. What is said of rows with a temperature is
    said with one that was fitted without them: rows are put into folds, those of a group into one, and each fold has
    the temperature of the others.

    Args:
        given: logits beside what is true.
        bins: as of `expected_calibration_error`.
        folds: most folds, 2 at least; there are no more than groups.
        seed: of the order in which groups are put into folds.

    Returns:
        ``kind``, ``softmax`` or ``sigmoid``; ``rows``; ``missed`` and ``about``, as given; ``temperature``, or None
        with ``reason`` where none is the best; and ``before`` and ``after``, each with ``ece``, ``nll``, the mean
        negative log-likelihood in nats, ``brier``, the mean squared distance from what is true, and ``bins``: ``from``,
        ``to``, ``count``, ``confidence`` and ``right``, means, of each that has rows. ``after`` is None of one group.

    Raises:
        ValueError: if there are no rows, a shape or a label is wrong, or a logit is no number.
    """
    if folds < 2:
        raise ValueError(f"folds must be at least 2, got {folds}")
    logits, labels = _checked(given)
    temperature, reason = _fitted(logits, labels)
    groups = np.arange(len(labels)) if given.groups is None else np.asarray(given.groups)
    after = None
    folds = min(folds, len(np.unique(groups)))
    if folds > 1:
        divided = _divided_by_others(logits, labels, groups, folds, seed)
        after = _scores(divided, labels, bins, given)
    return {
        "kind": "softmax" if np.ndim(given.logits) == 2 else "sigmoid",
        "rows": len(labels),
        "missed": given.missed,
        "about": given.about,
        "temperature": temperature,
        "reason": reason,
        "folds": folds,
        "before": _scores(logits, labels, bins, given),
        "after": after,
    }


def fit_temperature(logits: Any, labels: Any) -> float | None:
    """The temperature of the least negative log-likelihood, exact but for rounding; None where there is none.

    The likelihood is concave in 1 / T, so that there is one at most: none where every right answer has the largest
    logit, or right answers have no larger ones than the mean.

    Args:
        logits: ``[N, C]``, or ``[N]`` of a logistic function, as of `LabelledLogits`.
        labels: ``[N]``.

    Raises:
        ValueError: if there are no rows, a shape or a label is wrong, or a logit is no number.
    """
    return _fitted(*_checked(LabelledLogits(logits, labels)))[0]


def expected_calibration_error(confidences: Any, right: Any, bins: int = BINS) -> float:
    """The mean distance between how sure answers are and how often they are right, by bins of equal width.

    With few rows it is above 0 of perfect probabilities too.

    Args:
        confidences: ``[N]`` probabilities.
        right: ``[N]`` of 0 and 1, or truth values.
        bins: b; a bin has the probabilities in (i / b, (i + 1) / b], and the first has 0 too.

    Raises:
        ValueError: if there are no rows or bins, shapes differ or a confidence is outside [0, 1].
    """
    confidences, right = np.asarray(confidences, dtype=np.float64), np.asarray(right, dtype=np.float64)
    table = calibration_bins(confidences, right, bins)
    return float(sum(row["count"] * abs(row["confidence"] - row["right"]) for row in table) / len(confidences))


def calibration_bins(confidences: Any, right: Any, bins: int = BINS) -> list[dict[str, Any]]:
    """The bins of `expected_calibration_error` with rows: ``from``, ``to``, ``count``, ``confidence`` and ``right``."""
    confidences, right = np.asarray(confidences, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if confidences.ndim != 1 or not confidences.size or right.shape != confidences.shape:
        seen = f"{list(confidences.shape)} and {list(right.shape)}"
        raise ValueError(f"confidences and right must both be [N] and not empty, got {seen}")
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    wrong = ~((confidences >= 0) & (confidences <= 1))
    if wrong.any():
        raise ValueError(f"confidences must be in [0, 1], got {confidences[wrong][0]}")
    edges = np.arange(bins + 1) / bins
    places = np.clip(np.searchsorted(edges, confidences, side="left") - 1, 0, bins - 1)
    counts = np.bincount(places, minlength=bins)
    sums, hits = (np.bincount(places, weights=one, minlength=bins) for one in (confidences, right))
    return [
        {
            "from": float(edges[place]),
            "to": float(edges[place + 1]),
            "count": int(counts[place]),
            "confidence": float(sums[place] / counts[place]),
            "right": float(hits[place] / counts[place]),
        }
        for place in np.flatnonzero(counts)
    ]


def _checked(given: LabelledLogits) -> tuple[Numbers, NDArray[np.int64]]:
    """Logits ``[N, C]`` and labels; what is so or is not becomes the second of two classes."""
    logits, labels = np.asarray(given.logits, dtype=np.float64), np.asarray(given.labels)
    if logits.ndim not in (1, 2) or not logits.size or labels.shape != logits.shape[:1]:
        seen = f"{list(logits.shape)} and {list(labels.shape)}"
        raise ValueError(f"logits and labels must be [N, C] or [N], and [N], and not empty, got {seen}")
    if given.groups is not None and np.shape(given.groups) != labels.shape:
        seen = f"{list(np.shape(given.groups))} beside {list(labels.shape)}"
        raise ValueError(f"groups must have the shape of labels, got {seen}")
    if logits.ndim == 1:
        logits = np.stack((np.zeros_like(logits), logits), axis=1)
    classes = logits.shape[1]
    # Also those of floats, if they are whole: a label of 0.5 is none.
    if (wrong := ~np.isin(labels, np.arange(classes))).any():
        raise ValueError(f"labels must be whole numbers from 0 to {classes - 1}, got {labels[wrong][0]}")
    labels = labels.astype(np.int64)
    own = logits[np.arange(len(labels)), labels]
    if np.isnan(logits).any() or (logits == np.inf).any() or not np.isfinite(own).all():
        raise ValueError("logits must be numbers, or -inf of what is no answer and not the right one")
    return logits, labels


def _fitted(logits: Numbers, labels: NDArray[np.int64]) -> tuple[float | None, str | None]:
    """The temperature, or why there is none."""
    real = np.isfinite(logits)
    finite = np.where(real, logits, 0.0)
    # What is no answer has no part in any mean.
    finite -= np.where(real, finite.max(1, where=real, initial=-np.inf)[:, None], 0.0)
    own = finite[np.arange(len(labels)), labels]

    def slope(inverse: float) -> float:
        """The derivative of the negative log-likelihood by 1 / T, which grows."""
        weights = np.where(real, np.exp(inverse * finite), 0.0)
        return float(((weights * finite).sum(1) / weights.sum(1) - own).mean())

    if not own.any():
        return None, ALL_RIGHT
    if slope(0.0) >= 0:
        return None, NO_BETTER
    low = high = 1.0
    while slope(high) < 0 and high < 1e150:
        high *= 2
    while slope(low) > 0:
        low /= 2
    while high / low > 1 + 1e-13:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 1 / (low * high) ** 0.5, None


def _divided_by_others(
    logits: Numbers, labels: NDArray[np.int64], groups: NDArray[Any], folds: int, seed: int
) -> Numbers:
    """Logits by the temperature of all folds but their own; as they are where these have none."""
    names, numbers = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(names))[numbers] % folds
    divided = logits.copy()
    for number in range(folds):
        others = fold != number
        divided[~others] /= _fitted(logits[others], labels[others])[0] or 1.0
    return divided


def _scores(logits: Numbers, labels: NDArray[np.int64], bins: int, given: LabelledLogits) -> dict[str, Any]:
    shifted = logits - logits.max(1, keepdims=True)
    weights = np.exp(shifted)
    sums = weights.sum(1)
    probabilities = weights / sums[:, None]
    rows = np.arange(len(labels))
    distances = probabilities.copy()
    distances[rows, labels] -= 1
    if np.ndim(given.logits) == 1:
        confidences, right = probabilities[:, 1], labels.astype(np.float64)
        brier = (distances[:, 1] ** 2).mean()
    else:
        confidences, right = probabilities.max(1), (logits.argmax(1) == labels).astype(np.float64)
        brier = (distances**2).sum(1).mean()
    # Of rounding.
    confidences = confidences.clip(0, 1)
    return {
        "ece": expected_calibration_error(confidences, right, bins),
        "nll": float((np.log(sums) - shifted[rows, labels]).mean()),
        "brier": float(brier),
        "bins": calibration_bins(confidences, right, bins),
    }
