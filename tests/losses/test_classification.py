"""The loss of classification heads against PyTorch's, and what it refuses."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hf_ext.losses.classification import classification_loss

IDS = torch.tensor([0, 2, -100, 1, 2])
SOFT = torch.tensor([[0.0, 1.0, 0.5]] * 5, dtype=torch.float64)
TARGETS = torch.tensor([0.5, -1.0, 2.0, 0.0, 7.0], dtype=torch.float64)
# Number of classes, labels, problem type, PyTorch's mean, number of items that it is the mean of.
CASES: dict[str, tuple[int, Tensor, str | None, Any, int]] = {
    "classes": (3, IDS, None, F.cross_entropy, 4),
    "classes, named": (3, IDS, "single_label_classification", F.cross_entropy, 4),
    "two classes": (2, (IDS > 0).long(), None, F.cross_entropy, 5),
    "several": (3, SOFT, None, F.binary_cross_entropy_with_logits, 15),
    "several, integers": (3, (SOFT > 0).long(), "multi_label_classification", F.binary_cross_entropy_with_logits, 15),
    "regression": (1, TARGETS, None, F.mse_loss, 5),
    "regression, integers": (1, IDS.clamp(min=0), None, F.mse_loss, 5),
    "regression, column": (1, TARGETS[:, None], None, F.mse_loss, 5),
    "regression, several": (3, SOFT * 4, "regression", F.mse_loss, 15),
}


@pytest.mark.parametrize(("classes", "labels", "kind", "peer", "count"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("items", [None, 7, torch.tensor(7)])
def test_against_pytorch(classes: int, labels: Tensor, kind: str | None, peer: Any, count: int, items: Any) -> None:
    torch.manual_seed(0)
    logits = torch.randn(5, classes, dtype=torch.float64, requires_grad=True)
    again = logits.detach().clone().requires_grad_()
    loss = classification_loss(logits, labels, kind, items)
    target = labels if peer is F.cross_entropy else labels.double().view(logits.shape)
    wanted = peer(again, target) * (1 if items is None else count / 7)
    torch.testing.assert_close(loss, wanted, atol=1e-12, rtol=0)
    loss.backward()
    wanted.backward()
    torch.testing.assert_close(logits.grad, again.grad, atol=1e-12, rtol=0)


@pytest.mark.parametrize("items", [None, 5])
def test_nothing_to_learn(items: int | None) -> None:
    logits = torch.randn(3, 4, requires_grad=True)
    loss = classification_loss(logits, torch.full((3,), -100), None, items)
    loss.backward()
    assert loss == 0
    assert not logits.grad.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    """The sum over many rows does not overflow."""
    logits = torch.full((5000, 2), 60.0, dtype=dtype)
    logits[:, 0] = 0
    loss = classification_loss(logits, torch.zeros(5000, dtype=torch.long))
    assert loss.dtype == torch.float32
    assert loss == pytest.approx(60.0)
    assert classification_loss(logits[:, :1] + 300, torch.full((5000,), 0.0)).isfinite()


WRONG: dict[str, tuple[tuple[int, int], Tensor, str | None, str]] = {
    "class too large": ((2, 3), torch.tensor([0, 3]), None, r"labels must be in \[0, 3\) or -100, got 3"),
    "class below zero": ((2, 3), torch.tensor([-1, 0]), None, r"labels must be in \[0, 3\) or -100, got -1"),
    "batch size": ((2, 3), torch.tensor([0, 1, 2]), None, r"labels must have shape \(2,\), got \(3,\)"),
    "column of ids": ((2, 3), torch.tensor([[0], [1]]), None, r"labels must have shape \(2,\), got \(2, 1\)"),
    "too few columns": ((2, 3), torch.zeros(2, 2), None, r"labels must have shape \(2, 3\), got \(2, 2\)"),
    "one float a row": ((2, 3), torch.zeros(2), None, r"labels must have shape \(2, 3\), got \(2,\)"),
    "targets": ((2, 1), torch.zeros(3), None, r"labels must have shape \(2, 1\), got \(3,\)"),
    "name": ((2, 3), torch.tensor([0, 1]), "multilabel", r"problem_type must be one of .* got 'multilabel'"),
}


@pytest.mark.parametrize(("shape", "labels", "kind", "message"), WRONG.values(), ids=WRONG)
def test_wrong_labels(shape: tuple[int, int], labels: Tensor, kind: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classification_loss(torch.zeros(shape), labels, kind)
