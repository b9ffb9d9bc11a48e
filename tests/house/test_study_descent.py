"""The steps that all experiments train by."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies.descent import at_the_end, descend


def run(loss_of, steps, rate, weight_decay, warm_up=True):
    """A number that begins at 1: what it was in each step and at the end, what `descend` gives, and the module."""
    model = torch.nn.Module()
    model.weight = torch.nn.Parameter(torch.ones(()))
    seen = []

    def loss():
        assert model.training
        seen.append(model.weight.item())
        return loss_of(model.weight)

    losses = descend(model, loss, steps, rate, weight_decay, warm_up)
    return [*seen, model.weight.item()], losses, model


@pytest.mark.parametrize("warm_up", [True, False])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("steps", [1, 2, 7, 20, 25])
def test_the_rate_rises_and_falls_to_nothing(steps, weight_decay, warm_up):
    """By hand: under a gradient of 1 AdamW moves by the rate, and decay by its share of where it is."""
    places, losses, model = run(lambda weight: weight * 1.0, steps, 0.1, weight_decay, warm_up)
    rising = max(1, steps // 10) if warm_up else 1
    wanted = [1.0]
    for step in range(steps):
        rate = 0.1 * min((step + 1) / rising, (steps - step) / max(1, steps - rising))
        wanted.append(wanted[-1] * (1 - rate * weight_decay) - rate)
    assert places == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    assert losses == pytest.approx(places[:-1])
    assert not model.training


def test_gradients_are_clipped():
    """One that is a million times as large in one step would hold all others still."""
    factors = iter([1.0, 1e6, *[1.0] * 18])
    places, _, _ = run(lambda weight: next(factors) * weight, 20, 0.1, 0.0)
    plain, _, _ = run(lambda weight: weight * 1.0, 20, 0.1, 0.0)
    assert places == pytest.approx(plain, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(
    ("values", "mean"), [([5.0], 5.0), ([5.0, 3.0], 3.0), ([*range(19)], 18.0), ([*range(20)], 18.5)]
)
def test_the_end_is_the_last_tenth(values, mean):
    assert at_the_end(values) == mean
