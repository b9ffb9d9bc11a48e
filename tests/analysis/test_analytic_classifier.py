"""The classifier in closed form: against the originals' numbers, linear discriminant analysis and its traps."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.covariance import oas
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from hf_ext.analysis import AnalyticClassifier, ClassSums

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
IO = {name: torch.from_numpy(value) for name, value in np.load(GOLDEN / "analytic/io.npz").items()}
ATOL = json.loads((GOLDEN / "analytic/meta.json").read_text(encoding="utf-8"))["tolerance"]["float64"]
OF_LOSSES = {name: torch.from_numpy(value) for name, value in np.load(GOLDEN / "losses/io.npz").items()}


def drawn(count=400, size=6, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    centres = torch.randn(classes, size, generator=generator, dtype=torch.float64)
    noise = torch.randn(count, size, generator=generator, dtype=torch.float64)
    return (centres[labels] + noise) * torch.logspace(-3, 3, size, dtype=torch.float64) + 100, labels


@pytest.mark.parametrize(("form", "ddof"), [("original", 1), ("exact", 0)])
def test_equal_to_the_reference(form, ddof):
    found = AnalyticClassifier.fit([(IO["x"], IO["labels"])], 3, ddof=ddof)
    torch.testing.assert_close(found.weight, IO[f"{form}_weight"].T, rtol=0, atol=ATOL)
    torch.testing.assert_close(found.bias, IO[f"{form}_bias"], rtol=0, atol=ATOL)
    scores = found(IO["test_x"])
    torch.testing.assert_close(scores.log_softmax(-1), IO[f"{form}_log_probabilities"], rtol=0, atol=ATOL)
    if form == "original":
        assert scores.argmax(-1).tolist() == IO["original_prediction"].tolist()
    layer = found.as_linear()
    torch.testing.assert_close(layer(IO["test_x"]), scores)
    single = AnalyticClassifier.fit([(IO["x"].float(), IO["labels"])], 3, ddof=ddof)
    torch.testing.assert_close(single(IO["test_x"]), scores, rtol=0, atol=1e-3)


def test_two_classes_as_one_difference():
    kept = IO["labels"] < 2
    found = AnalyticClassifier.fit([(IO["x"][kept], IO["labels"][kept])], 2, ddof=1)
    layer = found.as_difference()
    sign = 1 if torch.allclose(layer.weight[0], IO["binary_weight"], atol=ATOL) else -1
    torch.testing.assert_close(sign * layer.weight[0], IO["binary_weight"], rtol=0, atol=ATOL)
    torch.testing.assert_close(sign * layer.bias[0], IO["binary_bias"], rtol=0, atol=ATOL)
    torch.testing.assert_close(sign * layer(IO["test_x"])[:, 0], IO["binary_test_logits"], rtol=0, atol=ATOL)
    with pytest.raises(ValueError, match="weight must be of two classes, got 3"):
        AnalyticClassifier.fit([(IO["x"], IO["labels"])], 3).as_difference()


def test_equal_to_the_run_of_the_original():
    """Which whitens first, so that its own weights are of whitened vectors."""
    x, y = OF_LOSSES["analytic_x"], OF_LOSSES["analytic_y"].flatten()
    found = AnalyticClassifier.fit([(x, y)], 4, ddof=1)
    torch.testing.assert_close(found(x), OF_LOSSES["analytic_scores"], rtol=0, atol=1e-8)
    torch.testing.assert_close(found.weight, (OF_LOSSES["analytic_kernel"] @ OF_LOSSES["analytic_w"]).T)


@pytest.mark.parametrize("size", [1, 6])
def test_equal_to_linear_discriminant_analysis(size):
    vectors, labels = drawn(size=size)
    # Which units vectors have changes nothing, but for the peer's rounding.
    plain = ((vectors - vectors.mean(0)) / vectors.std(0)).numpy()
    peer = LinearDiscriminantAnalysis(solver="lsqr").fit(plain, labels.numpy())
    expected = torch.from_numpy(peer.predict_log_proba(plain))
    found = AnalyticClassifier.fit([(vectors, labels)], 3)(vectors).log_softmax(-1)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


def test_parts_in_any_order_give_the_same():
    vectors, labels = drawn()
    whole = AnalyticClassifier.fit([(vectors, labels)], 3)
    cuts = [(vectors[a:b], labels[a:b]) for a, b in ((0, 1), (1, 150), (150, 150), (150, 400))]
    for parts in (cuts, cuts[::-1], sorted(cuts, key=lambda part: len(part[0]))):
        found = AnalyticClassifier.fit(parts, 3)
        torch.testing.assert_close(found(vectors), whole(vectors))
    # As two processes would, one with classes that the other lacks.
    order = labels.argsort()
    halves = [ClassSums.of(vectors[half], labels[half], 3) for half in (order[:150], order[150:])]
    together = AnalyticClassifier.from_sums(halves[0] + halves[1])
    torch.testing.assert_close(together(vectors), whole(vectors))


def test_what_is_left_out_counts_for_nothing():
    vectors, labels = drawn()
    out = labels.clone()
    out[::3] = -100
    kept = out != -100
    found = AnalyticClassifier.fit([(vectors, out)], 3)
    torch.testing.assert_close(found.weight, AnalyticClassifier.fit([(vectors[kept], labels[kept])], 3).weight)


def test_a_class_without_texts_is_finite_and_wins_nowhere():
    vectors, labels = drawn()
    found = AnalyticClassifier.fit([(vectors, labels * 2)], 5)
    plain = AnalyticClassifier.fit([(vectors, labels)], 3)
    torch.testing.assert_close(found(vectors)[:, ::2], plain(vectors))
    assert bool(found.bias.half().isfinite().all())
    assert set(found(vectors).argmax(-1).tolist()) == {0, 2, 4}
    assert not found.weight[1::2].any()


def test_fewer_vectors_than_numbers_need_a_choice():
    vectors, labels = drawn(20, 40)
    with pytest.raises(ValueError, match="must vary within classes in all 40 directions, got 17 of 20"):
        AnalyticClassifier.fit([(vectors, labels)], 3)
    for options in ({"shrinkage": "oas"}, {"shrinkage": 0.3}, {"pseudo_inverse": True}):
        found = AnalyticClassifier.fit([(vectors, labels)], 3, **options)
        assert bool(found(vectors).isfinite().all())
    # What never varies says nothing.
    wider = torch.cat((vectors[:, :4], torch.ones(20, 1)), dim=1)
    found = AnalyticClassifier.fit([(wider, labels)], 3, pseudo_inverse=True)
    narrow = AnalyticClassifier.fit([(vectors[:, :4], labels)], 3)
    torch.testing.assert_close(found(wider), narrow(vectors[:, :4]))


def test_shrinkage_is_that_of_a_peer():
    vectors, labels = drawn(50, 8)
    vectors = (vectors - vectors.mean(0)) / vectors.std(0)
    within = vectors.clone()
    for label in range(3):
        within[labels == label] -= vectors[labels == label].mean(0)
    _, expected = oas(within.numpy(), assume_centered=True)
    given = AnalyticClassifier.fit([(vectors, labels)], 3, shrinkage=float(expected))
    found = AnalyticClassifier.fit([(vectors, labels)], 3, shrinkage="oas")
    torch.testing.assert_close(found.weight, given.weight, rtol=1e-9, atol=1e-9)
    covariance = within.mT @ within / 50
    shrunk = (1 - expected) * covariance + expected * covariance.diagonal().mean() * torch.eye(8)
    mean = vectors[labels == 1].mean(0) - vectors.mean(0)
    torch.testing.assert_close(found.weight[1], torch.linalg.solve(shrunk, mean))
    whole = AnalyticClassifier.fit([(vectors, labels)], 3, shrinkage=1)
    torch.testing.assert_close(whole.weight[1], mean / covariance.diagonal().mean())


@pytest.mark.parametrize(
    ("parts", "options", "told"),
    [
        ([], {}, "parts must be at least one pair"),
        ([(torch.zeros(0, 3), torch.zeros(0))], {}, "sums must be of at least two vectors, got 0"),
        ([(torch.zeros(3), torch.zeros(3))], {}, "vectors and labels must be"),
        ([(torch.zeros(3, 2), torch.zeros(2))], {}, "vectors and labels must be"),
        ([(torch.zeros(3, 2), torch.tensor([0, 1, 3]))], {}, r"labels must be in \[0, 3\) or -100, got 3"),
        ([(torch.full((3, 2), torch.nan), torch.zeros(3))], {}, "vectors must be finite"),
        ([drawn(5), drawn(5, 7)], {}, r"sums must have shape \[3, 6\], got \[3, 7\]"),
        ([drawn()], {"ddof": 2}, "ddof must be 0 or 1, got 2"),
        ([drawn()], {"shrinkage": 1.5}, r"shrinkage must be in \[0, 1\] or 'oas', got 1.5"),
        ([drawn()], {"shrinkage": "lasso"}, "got 'lasso'"),
    ],
)
def test_what_cannot_be_fitted_is_refused(parts, options, told):
    with pytest.raises(ValueError, match=told):
        AnalyticClassifier.fit(parts, 3, **options)
