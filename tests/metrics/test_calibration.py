"""Calibration by brute force: bins row by row, temperatures on a grid, logits whose temperature is known."""

import math

import numpy as np
import pytest
from matplotlib.axes import Axes

from hf_ext.metrics import (
    LabelledLogits,
    calibration_bins,
    calibration_report,
    expected_calibration_error,
    fit_temperature,
    plot_reliability,
)
from hf_ext.metrics.calibration import ALL_RIGHT, NO_BETTER


def drawn(rows: int, classes: int, temperature: float, seed: int = 0):
    """Logits, and labels drawn from their softmax after a division by the temperature."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(rows, classes)) * 3
    labels = (logits / temperature + random.gumbel(size=logits.shape)).argmax(1)
    return logits, labels


def brute_ece(confidences, right, bins: int) -> float:
    total = 0.0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        own = [i for i, one in enumerate(confidences) if low < one <= high or (number == 0 and one == 0)]
        if own:
            sure = sum(float(confidences[i]) for i in own) / len(own)
            part = sum(float(right[i]) for i in own) / len(own)
            total += len(own) / len(confidences) * abs(sure - part)
    return total


def brute_nll(logits, labels, temperature: float) -> float:
    total = 0.0
    for row, label in zip(logits, labels):
        row = [float(one) / temperature for one in row]
        total += math.log(sum(math.exp(one) for one in row)) - row[label]
    return total / len(labels)


@pytest.mark.parametrize("bins", [1, 3, 10, 15])
@pytest.mark.parametrize("rows", [1, 2, 137])
def test_ece_is_that_of_brute_force(rows, bins):
    random = np.random.default_rng(rows)
    confidences = np.concatenate((random.random(rows), [0, 1, 1 / 3, 0.2, 0.7]))
    right = random.random(len(confidences)) < 0.5
    assert expected_calibration_error(confidences, right, bins) == pytest.approx(brute_ece(confidences, right, bins))
    table = calibration_bins(confidences, right, bins)
    assert sum(row["count"] for row in table) == len(confidences)
    assert all(row["from"] <= row["confidence"] <= row["to"] for row in table)


def test_perfect_calibration_is_zero():
    confidences = np.repeat([0.25, 0.5, 1.0], 4)
    right = [1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 1]
    assert expected_calibration_error(confidences, right) == 0


@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_a_temperature_that_is_known_is_found(temperature, classes):
    logits, labels = drawn(20_000, classes, temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)
    # Of a logistic function, the difference of two logits.
    if classes == 2:
        by_difference = fit_temperature(logits[:, 1] - logits[:, 0], labels)
        assert by_difference == pytest.approx(fit_temperature(logits, labels), rel=1e-9)


@pytest.mark.parametrize(("rows", "classes", "seed"), [(7, 2, 0), (20, 3, 1), (61, 4, 2)])
def test_the_likelihood_is_the_greatest(rows, classes, seed):
    logits, labels = drawn(rows, classes, 2.0, seed)
    found = fit_temperature(logits, labels)
    assert found is not None
    least = brute_nll(logits, labels, found)
    assert all(brute_nll(logits, labels, found * factor) > least for factor in (0.99, 0.9999, 1.0001, 1.01))
    assert fit_temperature(logits * 7 + 100, labels) == pytest.approx(7 * found, rel=1e-9)


def test_choices_that_are_none_have_no_part():
    logits, labels = drawn(50, 3, 2.0)
    wide = np.concatenate((np.full((50, 2), -np.inf), logits), axis=1)
    assert fit_temperature(wide, labels + 2) == pytest.approx(fit_temperature(logits, labels), rel=1e-9)
    one, other = (calibration_report(LabelledLogits(*each)) for each in ((wide, labels + 2), (logits, labels)))
    assert one["before"]["nll"] == pytest.approx(other["before"]["nll"])
    assert one["after"]["ece"] == pytest.approx(other["after"]["ece"])


def test_no_temperature_is_made_up():
    all_right = np.eye(3)[[0, 1, 2, 2]] * 2
    for labels, reason in (([0, 1, 2, 2], ALL_RIGHT), ([1, 2, 0, 0], NO_BETTER)):
        assert fit_temperature(all_right, labels) is None
        report = calibration_report(LabelledLogits(all_right, labels))
        assert (report["temperature"], report["reason"]) == (None, reason)
        assert report["after"]["nll"] == pytest.approx(report["before"]["nll"])
    assert fit_temperature(np.zeros((3, 2)), [0, 1, 1]) is None


def test_one_row_has_nothing_to_be_judged_by():
    report = calibration_report(LabelledLogits([[1.0, 0.0]], [0]))
    assert report["after"] is None
    assert report["before"]["ece"] == pytest.approx(1 - 1 / (1 + math.exp(-1)))
    assert calibration_report(LabelledLogits(np.ones((4, 2)), [0, 1, 0, 0], groups=[7] * 4))["after"] is None


def test_report_is_that_of_brute_force():
    logits, labels = drawn(83, 4, 3.0)
    report = calibration_report(LabelledLogits(logits, labels, about="classes", missed=2), bins=7)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    right = probabilities.argmax(1) == labels
    assert report["before"]["ece"] == pytest.approx(brute_ece(probabilities.max(1), right, 7))
    assert report["before"]["nll"] == pytest.approx(brute_nll(logits, labels, 1.0))
    assert report["before"]["brier"] == pytest.approx(((probabilities - np.eye(4)[labels]) ** 2).sum() / 83)
    assert (report["kind"], report["rows"], report["missed"], report["folds"]) == ("softmax", 83, 2, 5)
    assert report["after"]["nll"] < report["before"]["nll"]
    # Fitted on the same rows it would be better than it is.
    assert report["after"]["nll"] > brute_nll(logits, labels, report["temperature"])


def test_what_is_so_or_is_not():
    logits, labels = drawn(400, 2, 2.0)
    score = logits[:, 1] - logits[:, 0]
    report = calibration_report(LabelledLogits(score, labels), bins=5)
    chance = 1 / (1 + np.exp(-score))
    assert report["kind"] == "sigmoid"
    assert report["before"]["ece"] == pytest.approx(brute_ece(chance, labels, 5))
    assert report["before"]["brier"] == pytest.approx(((chance - labels) ** 2).mean())
    assert report["before"]["nll"] == pytest.approx(brute_nll(logits, labels, 1.0))


def test_each_fold_has_the_temperature_of_the_others():
    """Of two groups, with temperatures of their own."""
    (one, ones), (two, twos) = drawn(200, 3, 1.0, 1), drawn(200, 3, 4.0, 2)
    given = LabelledLogits(np.concatenate((one, two)), np.concatenate((ones, twos)), np.repeat([5, 9], 200))
    report = calibration_report(given, folds=5)
    wanted = (brute_nll(one, ones, fit_temperature(two, twos)) + brute_nll(two, twos, fit_temperature(one, ones))) / 2
    assert report["folds"] == 2
    assert report["after"]["nll"] == pytest.approx(wanted)


def test_the_surest_logits_overflow_nothing():
    report = calibration_report(LabelledLogits([[1e4, -1e4], [1e4, -1e4], [-1e4, 1e4]], [0, 1, 1]), folds=2)
    assert report["before"]["nll"] == pytest.approx(2e4 / 3)
    assert report["temperature"] == pytest.approx(2e4 / math.log(2))


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((0, 2)), [], "not empty"),
        ([], [], "not empty"),
        ([[0.0, 1.0]], [0, 1], r"got \[1, 2\] and \[2\]"),
        ([[0.0, 1.0]], [2], "labels must be whole numbers from 0 to 1, got 2"),
        ([[0.0, 1.0]], [0.5], "labels must be whole numbers from 0 to 1, got 0.5"),
        ([0.5, 0.5], [1.0, float("nan")], "labels must be whole numbers from 0 to 1, got nan"),
        ([0.5], [-1], "labels must be whole numbers from 0 to 1, got -1"),
        ([[math.nan, 1.0]], [0], "logits must be numbers"),
        ([[math.inf, 1.0]], [0], "logits must be numbers"),
        ([[-math.inf, 1.0]], [0], "logits must be numbers"),
    ],
)
def test_what_cannot_be_judged_is_refused(logits, labels, message):
    for function in (fit_temperature, lambda *both: calibration_report(LabelledLogits(*both))):
        with pytest.raises(ValueError, match=message):
            function(logits, labels)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], []), "not empty"),
        (([0.5], [1, 0]), "not empty, got"),
        (([1.5], [1]), r"confidences must be in \[0, 1\], got 1.5"),
        (([math.nan], [1]), r"confidences must be in \[0, 1\], got nan"),
        (([0.5], [1], 0), "bins must be at least 1, got 0"),
    ],
)
def test_bins_refuse(arguments, message):
    with pytest.raises(ValueError, match=message):
        expected_calibration_error(*arguments)


def test_folds_and_groups_are_checked():
    logits, labels = drawn(4, 2, 1.0)
    with pytest.raises(ValueError, match="folds must be at least 2, got 1"):
        calibration_report(LabelledLogits(logits, labels), folds=1)
    with pytest.raises(ValueError, match="groups must have the shape of labels"):
        calibration_report(LabelledLogits(logits, labels, groups=[1]))


def test_plot(tmp_path):
    logits, labels = drawn(83, 4, 3.0)
    for name, given in (("many", (logits, labels)), ("one", (logits[:1], labels[:1]))):
        plot_reliability(calibration_report(LabelledLogits(*given)), tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


def test_plot_says_what_each_line_is(tmp_path, monkeypatch):
    """That each fold has a temperature of its own among it: the one of all rows has no line."""
    named = []
    own = Axes.plot
    monkeypatch.setattr(
        Axes, "plot", lambda axes, *given, **how: named.append(how.get("label")) or own(axes, *given, **how)
    )
    report = calibration_report(LabelledLogits(*drawn(83, 4, 3.0)))
    plot_reliability(report, tmp_path / "plot.png")
    before, after = (f"ECE {report[name]['ece']:.4f}" for name in ("before", "after"))
    assert named == [None, f"as it is: {before}", f"by the temperature of other folds: {after}"]
