"""Thresholds against trying every one."""

from itertools import pairwise

import numpy as np
import pytest

from hf_ext.metrics import calibrate_span_thresholds, calibrate_thresholds


def f1_of(found, true):
    return 2 * (found & true).sum() / max(found.sum() + true.sum(), 1)


def best_of_all(scores, true):
    """Over thresholds between, below and above all scores."""
    levels = np.unique(scores[np.isfinite(scores)])
    tried = [-1e9, *(levels[:-1] + levels[1:]) / 2, 1e9]
    return max(f1_of(scores > threshold, true) for threshold in tried)


@pytest.mark.parametrize("seed", range(8))
def test_against_every_threshold(seed):
    random = np.random.default_rng(seed)
    scores = random.normal(size=(40, 5)).round(1 if seed % 2 else 9)
    labels = (scores + random.normal(size=scores.shape) > 0.8).astype(int)
    thresholds, f1 = calibrate_thresholds(scores, labels)
    for c in range(5):
        assert f1[c] == pytest.approx(best_of_all(scores[:, c], labels[:, c] == 1))
        assert f1[c] == pytest.approx(f1_of(scores[:, c] > thresholds[c], labels[:, c] == 1))
    together, micro = calibrate_thresholds(scores, labels, per_class=False)
    assert len(set(together)) == 1
    assert micro[0] == pytest.approx(best_of_all(scores.ravel(), labels.ravel() == 1))
    assert micro[0] == pytest.approx(f1_of(scores > together, labels == 1))


def test_entries_left_out():
    scores = np.array([[3.0], [2.0], [1.0], [9.0]])
    labels = np.array([[1], [1], [0], [-100]])
    thresholds, f1 = calibrate_thresholds(scores, labels)
    assert (thresholds[0], f1[0]) == (1.5, 1.0)


@pytest.mark.parametrize(
    ("scores", "labels", "threshold", "f1"),
    [
        ([1.0, 2.0], [0, 0], np.inf, 0.0),
        ([1.0, 2.0], [-100, -100], np.inf, 0.0),
        ([1.0, 1.0], [1, 1], np.nextafter(1.0, 0), 1.0),
        ([0.0], [1], np.nextafter(0.0, -1), 1.0),
        ([1.0, np.nextafter(1.0, 0)], [1, 0], np.nextafter(1.0, 0), 1.0),
        ([1.0, -np.inf], [1, 1], np.nextafter(1.0, 0), 2 / 3),
        ([np.inf, 1.0], [1, 0], None, 1.0),
        ([1e308, -1e308], [1, 0], 0.0, 1.0),
    ],
)
def test_edges(scores, labels, threshold, f1):
    thresholds, got = calibrate_thresholds(np.array(scores)[:, None], np.array(labels)[:, None])
    assert threshold is None or thresholds[0] == threshold
    assert got[0] == pytest.approx(f1)
    found, true = np.array(scores) > thresholds[0], np.array(labels) == 1
    assert f1_of(found & (np.array(labels) >= 0), true) == pytest.approx(f1)


def spans(rows, width):
    most = max(map(len, rows))
    return np.array([[*row, *[(-1,) * width] * (most - len(row))] for row in rows], dtype=float)


def test_spans_against_every_threshold():
    random = np.random.default_rng(0)
    true = [{(int(c), int(s), int(s) + 1) for c, s in random.integers(0, [3, 9], (5, 2))} for _ in range(6)]
    found = []
    for row in true:
        # Some are missed, some are wrong, one is given twice, the second time with a lower score.
        kept = [(*span, random.normal() + 1) for span in sorted(row) if random.random() < 0.8]
        wrong = {(int(c), int(s), int(s) + 2) for c, s in random.integers(0, [3, 9], (4, 2))}
        found.append([*kept, *((*span, random.normal()) for span in sorted(wrong)), (*kept[0][:3], kept[0][3] - 5)])
    labels = np.where(spans([sorted(row) for row in true], 3) < 0, -100, spans([sorted(row) for row in true], 3))

    def f1_at(threshold, types):
        matched = count = 0
        for row, predicted in zip(true, found):
            chosen = {s[:3] for s in predicted if s[3] > threshold and s[0] in types}
            matched += len(chosen & row)
            count += len(chosen) + sum(span[0] in types for span in row)
        return 2 * matched / count

    levels = sorted(span[3] for row in found for span in row)
    tried = [-100.0, *((a + b) / 2 for a, b in pairwise(levels))]
    thresholds, f1 = calibrate_span_thresholds(spans(found, 4), labels.astype(int), 3)
    for c in range(3):
        assert f1[c] == pytest.approx(max(f1_at(t, {c}) for t in tried))
        assert f1[c] == pytest.approx(f1_at(thresholds[c], {c}))
    thresholds, f1 = calibrate_span_thresholds(spans(found, 4), labels.astype(int), 3, per_class=False)
    assert f1[0] == pytest.approx(max(f1_at(t, {0, 1, 2}) for t in tried))
    assert f1[0] == pytest.approx(f1_at(thresholds[0], {0, 1, 2}))


def test_no_spans():
    nothing, one = np.zeros((1, 0, 4)), np.array([[[1, 0, 0]]])
    thresholds, f1 = calibrate_span_thresholds(nothing, one, 2)
    assert thresholds.tolist() == [np.inf, np.inf]
    assert f1.tolist() == [0.0, 0.0]
    assert calibrate_span_thresholds(nothing, np.zeros((1, 0, 3)), 2, per_class=False)[0].tolist() == [np.inf, np.inf]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: calibrate_thresholds([[1.0]], [[1, 0]]), r"both \[N, C\] and not empty, got \[1, 1\] and \[1, 2\]"),
        (lambda: calibrate_thresholds(np.zeros((0, 2)), np.zeros((0, 2))), "not empty"),
        (lambda: calibrate_thresholds([[1.0]], [[2]]), "labels must be 0, 1 or -100, got 2"),
        (lambda: calibrate_thresholds([[np.nan]], [[1]]), "scores must be numbers, got nan"),
        (
            lambda: calibrate_span_thresholds(np.zeros((1, 1, 3)), np.zeros((1, 1, 3)), 2),
            r"predictions must be an array",
        ),
        (
            lambda: calibrate_span_thresholds(np.zeros((1, 1, 4)), np.zeros((2, 1, 3)), 2),
            "as many rows as labels, 2, got 1",
        ),
        (
            lambda: calibrate_span_thresholds(np.full((1, 1, 4), 2.0), np.zeros((1, 1, 3)), 2),
            "below num_labels, 2, got 2",
        ),
        (lambda: calibrate_span_thresholds(np.array([[[0, 0, 0, np.nan]]]), np.zeros((1, 1, 3)), 2), "got nan"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
