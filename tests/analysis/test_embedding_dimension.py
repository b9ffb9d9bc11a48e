"""The dimension of embeddings: the numbers of the articles, and means over directions that were drawn."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from hf_ext.analysis import embedding_dimension, skip_gram_entropy

GOLDEN = Path(__file__).resolve().parents[1] / "golden/initialization"
IO = dict(np.load(GOLDEN / "io.npz"))
TOLERANCE = json.loads((GOLDEN / "meta.json").read_text(encoding="utf-8"))["tolerance"]["float64"]


def test_entropy_is_that_of_the_reference():
    for size, expected in zip(IO["entropy_dims"], IO["entropy_h"]):
        assert skip_gram_entropy(int(size), 1) == pytest.approx(expected, rel=TOLERANCE)
        assert skip_gram_entropy(int(size), 1000) == pytest.approx(expected + 2 * math.log(1000), abs=1e-6)
    assert skip_gram_entropy(4000, 1) / 4000 == pytest.approx(-IO["entropy_slope"], rel=1e-3)


def test_dimension_is_that_of_the_reference():
    rule = [embedding_dimension(int(words)) for words in IO["words"]]
    np.testing.assert_allclose(rule, IO["dimension_rule"], rtol=TOLERANCE)
    exact = [embedding_dimension(int(words), exact=True) for words in IO["words"]]
    np.testing.assert_allclose(exact, IO["dimension_exact"], rtol=TOLERANCE)
    assert embedding_dimension(512) == pytest.approx(52, abs=0.1)


@pytest.mark.parametrize(("size", "scale"), [(3, 1.0), (8, 1.0), (16, 0.5), (8, 1.5)])
def test_entropy_is_that_of_drawn_directions(size, scale):
    generator = np.random.default_rng(0)
    drawn = generator.standard_normal((2_000_000, size))
    products = scale * size * drawn[:, 0] / np.linalg.norm(drawn, axis=1)
    weights = np.exp(products)
    expected = math.log(weights.mean()) - (products * weights).mean() / weights.mean()
    assert skip_gram_entropy(size, 1, scale) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.0])
def test_entropy_is_zero_at_the_exact_dimension(scale):
    size = embedding_dimension(21128, scale, exact=True)
    assert skip_gram_entropy(size, 21128, scale) == pytest.approx(0, abs=1e-9)
    assert skip_gram_entropy(size + 1, 21128, scale) < 0 < skip_gram_entropy(size - 1, 21128, scale)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((1,), "words must be at least 2, got 1"),
        ((100, 2.0), "scale must be 1 in the rule, got 2.0"),
        ((2, 50.0, True), "scale must be smaller, got 50.0"),
        ((100, 0.0, True), "scale must be positive, got 0.0"),
    ],
)
def test_what_has_no_dimension_is_refused(arguments, told):
    with pytest.raises(ValueError, match=told):
        embedding_dimension(*arguments)


@pytest.mark.parametrize(
    ("arguments", "told"), [((2.5, 100), "size must be at least 3"), ((8, 0), "words must be at least 1")]
)
def test_what_has_no_entropy_is_refused(arguments, told):
    with pytest.raises(ValueError, match=told):
        skip_gram_entropy(*arguments)
