"""The study of enlargement: prices, copies, and the control that knows nothing."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies import enlargement
from studies.enlargement import FACTOR, LARGE, SMALL, STEPS


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return enlargement.language_model(SMALL, 50).eval()


@pytest.mark.parametrize(("width", "vocabulary"), [(SMALL, 50), (LARGE, 1778)])
def test_price_of_a_step(width, vocabulary):
    """By hand, of the matrix products of 16 rows of 63 tokens, in two blocks and in the head."""
    tokens = 63
    block = tokens * (4 + 8) * width**2 + 2 * tokens**2 * width
    head = tokens * (width**2 + width * vocabulary)
    assert enlargement.training_cost(width, vocabulary) == 3 * 16 * (2 * block + head)


@pytest.mark.parametrize("early", [0, 1, 900])
def test_both_ways_have_one_price(early):
    low, high = (enlargement.training_cost(width, 1778) for width in (SMALL, LARGE))
    spent = early * low + enlargement.steps_left(early, 1778) * high
    assert STEPS * high - high < spent <= STEPS * high


@pytest.mark.parametrize(("side", "noise"), enlargement.NOISES.items())
def test_copies_are_as_far_apart_as_the_noise(side, noise, small):
    """Of kernel and noise, which are independent, squares add up; outputs stay."""
    large = enlargement.grown(small, side, seed=0)
    assert enlargement.copies_apart(large) == pytest.approx(noise / (1 + noise**2) ** 0.5, rel=0.05, abs=1e-9)
    ids = torch.arange(1, 8)[None]
    with torch.no_grad():
        torch.testing.assert_close(large(ids).logits, small(ids).logits, rtol=1e-4, atol=1e-4)


def test_shuffled_numbers_are_the_same_in_another_order(small):
    side = "enlarged, noise 0.1"
    whole, drawn = enlargement.grown(small, side, 0), enlargement.grown(small, "enlarged, shuffled", 0)
    for (name, one), other in zip(whole.named_parameters(), drawn.parameters()):
        assert torch.equal(one.flatten().sort().values, other.flatten().sort().values), name
        assert torch.equal(one, other) == (one.dim() < 2), name
    assert enlargement.copies_apart(drawn) == pytest.approx((1 - 1 / FACTOR) ** 0.5, rel=0.05)
