"""The study of deep networks: what its sides are, and what passes through them."""

import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies import judgements
from studies.deep_networks import SIDES, Network, Side, passing, train

IDS = torch.randint(3, 30, (2, 8), generator=torch.Generator().manual_seed(0))


def network(side, blocks=4):
    torch.manual_seed(0)
    return Network(side, blocks, 30)


def loss_of(model):
    return lambda: F.cross_entropy(*judgements.predictions(model, IDS, True, torch.Generator()))


def test_sides_differ_in_what_they_are_named_after():
    sizes = {name: sum(one.numel() for one in network(side).parameters()) for name, side in SIDES.items()}
    # The last norm.
    assert set(sizes.values()) == {sizes["post-norm"], sizes["post-norm"] + 2 * 64}
    assert {name for name, size in sizes.items() if size > sizes["post-norm"]} == {"pre-norm", "pre-norm, undivided"}


@pytest.mark.parametrize("side", SIDES)
def test_later_characters_are_not_seen(side):
    model = network(SIDES[side])
    changed = IDS.clone()
    changed[:, 5:] = 3
    with torch.no_grad():
        states, others = (model.base_model(ids).last_hidden_state for ids in (IDS, changed))
    torch.testing.assert_close(states[:, :5], others[:, :5])
    assert not torch.allclose(states[:, 5:], others[:, 5:])


def test_scores_that_are_not_divided_are_of_one_key():
    found = {}
    for name in ("pre-norm", "pre-norm, undivided"):
        model = network(SIDES[name])
        found[name] = passing(model, loss_of(model))["largest_weight"]
        assert all(one.grad is None for one in model.parameters())
    assert 1 / 8 < found["pre-norm"] < 0.75 * found["pre-norm, undivided"] < 0.75


def test_gradients_of_equal_blocks_are_of_the_same_size():
    """Under DeepNorm each block adds little, so that what comes back from the last reaches the first."""
    sizes = {}
    for name in ("post-norm", "DeepNorm"):
        model = network(SIDES[name], blocks=12)
        sizes[name] = passing(model, loss_of(model))["gradient_ratio"]
    assert abs(sizes["DeepNorm"] - 1) < 0.1 < abs(sizes["post-norm"] - 1)


def test_branches_grow_to_their_whole_and_leave_a_plain_network():
    model = network(Side(ramp=True), blocks=1)
    end = model.base_model.encoder.layer[0].output.dense
    seen = []

    def loss():
        seen.append(float(end.residual_alpha))
        return loss_of(model)()

    assert len(train(model, loss, Side(ramp=True), 6, 1e-3)) == 6
    assert seen == pytest.approx([0, 1 / 3, 2 / 3, 1, 1, 1])
    assert not hasattr(end, "residual_alpha")
