"""The study of the closed form: its rival beside scikit-learn's, and what its heads know."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies.closed_form import CLASSIFIERS, HEADS, accuracy, best_strength, loss_and_accuracy, penalised


def clusters(count, classes=3, width=6, apart=2.0, seed=0):
    """Rows around a mean of each class, of very different sizes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    means = apart * torch.randn(classes, width, generator=torch.Generator().manual_seed(9))
    rows = means[labels] + torch.randn(count, width, generator=generator)
    return rows * torch.logspace(-2, 2, width) + 3, labels


@pytest.mark.parametrize("strength", [0.01, 1.0])
def test_penalised_regression_is_that_of_scikit_learn(strength):
    rows, labels = clusters(60)
    layer = penalised(rows, labels, 3, strength)
    scaled = ((rows.double() - rows.double().mean(0)) / rows.double().std(0, correction=0)).numpy()
    peer = LogisticRegression(C=1 / (strength * len(rows)), tol=1e-10, max_iter=10_000).fit(scaled, labels.numpy())
    with torch.no_grad():
        found = layer(rows).log_softmax(-1).double().numpy()
    np.testing.assert_allclose(found, peer.predict_log_proba(scaled), atol=2e-3)


def test_noise_wants_a_penalty_and_classes_that_are_far_apart_do_not():
    rows, labels = clusters(50, apart=0.0)
    far, known = clusters(50, apart=5.0)
    assert best_strength(rows, labels, 3) > best_strength(far, known, 3)


@pytest.mark.parametrize("kind", [CLASSIFIERS, HEADS])
def test_all_but_the_controls_tell_classes_that_are_apart(kind):
    rows, labels = clusters(300)
    scored, right = clusters(300, seed=1)
    for name, fit in kind.items():
        torch.manual_seed(0)
        told = accuracy(fit(rows, labels, 3)(scored), right)
        # Ten epochs of Adam do not get far where sizes differ so much.
        if name not in ("drawn labels", "random", "Adam, 10 epochs"):
            assert told > 0.9, name
        elif name != "Adam, 10 epochs":
            assert told < 0.75, name


def test_adam_learns_numbers_of_one_size():
    rows, labels = clusters(3000)
    rows = (rows - rows.mean(0)) / rows.std(0)
    torch.manual_seed(0)
    assert accuracy(CLASSIFIERS["Adam, 10 epochs"](rows, labels, 3)(rows), labels) > 0.8


def test_loss_and_accuracy():
    logits = torch.tensor([[0.0, 0.0], [0.0, 100.0], [0.0, 1000.0]])
    found = loss_and_accuracy(logits, torch.tensor([0, 1, 1]))
    assert found == {"loss": pytest.approx(np.log(2) / 3), "accuracy": 1.0}
