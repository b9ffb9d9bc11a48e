"""Losses against imbalance, by hand: re-weighting, focal, dice, logit adjustment, smooth accuracy and F1."""

import math

import pytest
import torch
from torch.nn import functional as F

from hf_ext.losses import (
    binary_dice_loss,
    binary_focal_loss,
    class_balanced_weights,
    cross_entropy_loss,
    dice_loss,
    focal_loss,
    logit_adjusted_loss,
    smooth_accuracy_loss,
    smooth_f1_loss,
)

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = 2 * torch.randn(9, 4, generator=GENERATOR, dtype=torch.float64)
LABELS = torch.tensor([0, 1, 2, 3, -100, 0, 3, 3, -100])
KEPT = LABELS != -100
HOT = torch.randint(0, 2, (9, 4), generator=GENERATOR)
WEIGHT = [0.5, 1.0, 2.0, 3.0]


def own_probabilities():
    return LOGITS.softmax(-1)[KEPT].gather(1, LABELS[KEPT, None]).squeeze(1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_cross_entropy_is_pytorchs(smoothing, temperature):
    got = cross_entropy_loss(LOGITS, LABELS, label_smoothing=smoothing, temperature=temperature)
    torch.testing.assert_close(got, F.cross_entropy(LOGITS / temperature, LABELS, label_smoothing=smoothing))


def test_weights_multiply_rows_whose_number_divides():
    weight = torch.tensor(WEIGHT, dtype=torch.float64)
    wanted = F.cross_entropy(LOGITS, LABELS, weight, reduction="sum") / KEPT.sum()
    torch.testing.assert_close(cross_entropy_loss(LOGITS, LABELS, WEIGHT), wanted)
    torch.testing.assert_close(cross_entropy_loss(LOGITS, LABELS, weight), wanted)
    torch.testing.assert_close(focal_loss(LOGITS, LABELS, 0.0, WEIGHT), wanted)


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.9999, 1 - 1e-12, 1.0])
def test_class_balanced_weights(beta):
    counts = [1, 10, 0, 1000]
    weights = class_balanced_weights(counts, beta)
    effective = [n if beta > 1 - 1e-9 else sum(beta**i for i in range(n)) for n in counts]
    wanted = torch.tensor([1 / e if e else 0.0 for e in effective])
    torch.testing.assert_close(weights, wanted * 3 / wanted.sum(), rtol=1e-4, atol=0)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal(gamma):
    p = own_probabilities()
    torch.testing.assert_close(focal_loss(LOGITS, LABELS, gamma), (-((1 - p) ** gamma) * p.log()).mean())


@pytest.mark.parametrize("alpha", [None, 0.25])
def test_binary_focal(alpha):
    p = LOGITS.sigmoid()
    right = torch.where(HOT == 1, p, 1 - p)
    factor = 1.0 if alpha is None else torch.where(HOT == 1, alpha, 1 - alpha)
    torch.testing.assert_close(
        binary_focal_loss(LOGITS, HOT, 1.5, alpha), (-factor * (1 - right) ** 1.5 * right.log()).mean()
    )
    labels = HOT.clone()
    labels[0, 1:] = -100
    labels[1] = -100
    rows = binary_focal_loss(LOGITS, labels, 1.5, reduction="none")
    torch.testing.assert_close(rows[0], -((1 - right[0, 0]) ** 1.5) * right[0, 0].log())
    assert rows[1] == 0
    torch.testing.assert_close(binary_focal_loss(LOGITS, labels, 1.5), rows.sum() / 8)


@pytest.mark.parametrize(("alpha", "smooth"), [(1.0, 1.0), (0.0, 0.1), (0.5, 1e-3), (2.0, 1.0)])
def test_dice(alpha, smooth):
    def by_hand(p, y):
        q = (1 - p) ** alpha * p
        return (1 - (2 * q * y + smooth) / (q + y + smooth)).mean()

    one_hot = F.one_hot(LABELS[KEPT], 4)
    torch.testing.assert_close(dice_loss(LOGITS, LABELS, alpha, smooth), by_hand(LOGITS.softmax(-1)[KEPT], one_hot))
    torch.testing.assert_close(binary_dice_loss(LOGITS, HOT, alpha, smooth), by_hand(LOGITS.sigmoid(), HOT))


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
def test_logit_adjustment(tau):
    """``log(1 + sum over j != y of (p_j / p_y)^tau e^(s_j - s_y))``, as in the article; counts do as well."""
    counts = [100, 10, 5, 1]
    rows = [
        math.log(1 + sum((counts[j] / counts[y]) ** tau * math.exp(s[j] - s[y]) for j in range(4) if j != y))
        for s, y in zip(LOGITS[KEPT].tolist(), LABELS[KEPT].tolist())
    ]
    wanted = torch.tensor(rows, dtype=torch.float64).mean()
    torch.testing.assert_close(logit_adjusted_loss(LOGITS, LABELS, counts, tau), wanted)
    prior = torch.tensor(counts, dtype=torch.float64) / sum(counts)
    torch.testing.assert_close(logit_adjusted_loss(LOGITS, LABELS, prior, tau), wanted)


def test_a_prior_is_learnt_away():
    """Of logits that no input moves, cross-entropy learns the frequencies, the adjusted loss that all are alike."""
    labels = torch.tensor([0] * 90 + [1] * 10)
    bias = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.LBFGS([bias], max_iter=100)

    def closure():
        optimizer.zero_grad()
        loss = logit_adjusted_loss(bias.expand(100, 2), labels, [0.9, 0.1])
        loss.backward()
        return loss

    optimizer.step(closure)
    assert bias.abs().max() < 1e-3


def test_smooth_accuracy():
    torch.testing.assert_close(smooth_accuracy_loss(LOGITS, LABELS), 1 - own_probabilities().mean())
    decided = LOGITS[KEPT] * 1e4
    accuracy = (decided.argmax(-1) == LABELS[KEPT]).double().mean()
    torch.testing.assert_close(smooth_accuracy_loss(decided, LABELS[KEPT]), 1 - accuracy)


@pytest.mark.parametrize("average", ["micro", "macro"])
def test_smooth_f1(average):
    p = LOGITS.sigmoid()
    if average == "micro":
        wanted = 2 * (p * HOT).sum() / (p + HOT).sum()
    else:
        wanted = (2 * (p * HOT).sum(0) / (p + HOT).sum(0)).mean()
    torch.testing.assert_close(smooth_f1_loss(LOGITS, HOT, average), 1 - wanted)
    torch.testing.assert_close(
        smooth_f1_loss(LOGITS.view(3, 3, 4), HOT.view(3, 3, 4), average), smooth_f1_loss(LOGITS, HOT, average)
    )


def test_smooth_f1_of_decisions_is_f1():
    decided = LOGITS * 1e4
    found = decided > 0
    f1 = 2 * (found & (HOT == 1)).sum() / (found.sum() + HOT.sum())
    torch.testing.assert_close(smooth_f1_loss(decided, HOT).float(), 1 - f1)


def test_nothing_to_be_found_has_no_slope():
    logits = torch.full((2, 3), -1e4, requires_grad=True)
    loss = smooth_f1_loss(logits, torch.zeros(2, 3))
    loss.backward()
    assert 0 <= loss <= 1
    assert not logits.grad.any()


def test_what_is_learnt_already_counts_less():
    """The slope over that of cross-entropy falls with the probability, where plain cross-entropy's ratio is 1."""
    logits = torch.tensor([[0.0, 0.0], [3.0, 0.0], [6.0, 0.0]], dtype=torch.float64, requires_grad=True)
    labels = torch.zeros(3, dtype=torch.long)
    (plain,) = torch.autograd.grad(cross_entropy_loss(logits, labels), logits)
    (slope,) = torch.autograd.grad(focal_loss(logits, labels), logits)
    ratio = (slope / plain)[:, 0]
    assert ratio[0] > ratio[1] > ratio[2] > 0


@pytest.mark.parametrize(("alpha", "signs"), [(0.0, [-1, -1]), (1.0, [-1, 1])])
def test_self_adjusting_dice_pulls_back_what_is_beyond_the_peak(alpha, signs):
    """``(1 - p) p`` of a positive is largest at p = 1/2; the plain dice loss has no such peak."""
    logits = torch.tensor([[-0.5], [0.5]], requires_grad=True)
    binary_dice_loss(logits, torch.ones(2, 1), alpha).backward()
    assert logits.grad.sign().squeeze(1).tolist() == signs


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cross_entropy_loss(LOGITS, LABELS, temperature=0.0), "temperature must be above 0, got 0.0"),
        (
            lambda: cross_entropy_loss(LOGITS, LABELS, label_smoothing=1.0),
            r"label_smoothing must be in \[0, 1\), got 1",
        ),
        (
            lambda: cross_entropy_loss(LOGITS, LABELS, [1.0, 2.0]),
            r"weight must be 4 numbers of at least 0.*got \[1.0, 2",
        ),
        (lambda: focal_loss(LOGITS, LABELS, weight=[1.0, 1.0, 1.0, -2.0]), "weight must be 4 numbers of at least 0"),
        (lambda: focal_loss(LOGITS, LABELS, gamma=-1.0), "gamma must be at least 0, got -1.0"),
        (lambda: binary_focal_loss(LOGITS, HOT, alpha=2.0), r"alpha must be in \[0, 1\] or None, got 2.0"),
        (lambda: dice_loss(LOGITS, LABELS, alpha=-1.0), "alpha must be at least 0, got -1.0"),
        (lambda: dice_loss(LOGITS, LABELS, smooth=0.0), "smooth must be above 0, got 0.0"),
        (lambda: logit_adjusted_loss(LOGITS, LABELS, [0.5, 0.5, 0.0, 0.1]), "prior must be 4 numbers"),
        (lambda: smooth_f1_loss(LOGITS, HOT, "weighted"), "average must be 'micro' or 'macro', got 'weighted'"),
        (lambda: class_balanced_weights([1, 2], 1.5), r"beta must be in \[0, 1\], got 1.5"),
        (lambda: class_balanced_weights([0, 0]), r"counts must be \[C\], none below 0 and one above, got \[0.0, 0.0\]"),
        (lambda: class_balanced_weights([1, -2]), "counts must be"),
    ],
)
def test_wrong_options(call, message):
    with pytest.raises(ValueError, match=message):
        call()
