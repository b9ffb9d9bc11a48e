"""n problems of m classes in one loss, against a loop."""

import math

import pytest
import torch
from torch.nn import functional as F

from hf_ext.losses import joint_softmax_loss


@pytest.mark.parametrize("problems", [1, 2, 5])
@pytest.mark.parametrize("classes", [1, 2, 7])
def test_against_a_loop(problems, classes):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, problems, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, classes, (4, problems), generator=generator)
    labels[0, 0] = -100
    wanted = [
        math.log(1 + sum(math.exp(s[j] - s[t]) for s, t in zip(row, ids) if t >= 0 for j in range(classes) if j != t))
        for row, ids in zip(logits.tolist(), labels.tolist())
    ]
    got = joint_softmax_loss(logits, labels, "none")
    torch.testing.assert_close(got, torch.tensor(wanted, dtype=torch.float64))
    if problems == 1:
        torch.testing.assert_close(joint_softmax_loss(logits, labels), F.cross_entropy(logits[:, 0], labels[:, 0]))


def test_a_solved_problem_takes_no_part_beside_one_that_is_not():
    logits = torch.tensor([[[9.0, 0.0], [0.0, 9.0]]], requires_grad=True)
    joint_softmax_loss(logits, torch.tensor([[0, 0]])).backward()
    solved, open_ = logits.grad[0].abs().sum(-1)
    assert solved < 1e-6 * open_


def test_problems_of_fewer_classes():
    logits = torch.randn(3, 2, 4)
    logits[:, 1, 2:] = -torch.inf
    labels = torch.tensor([[3, 1], [0, 0], [2, 1]])
    parts = torch.cat(
        (
            (logits[:, 0] - logits[:, 0].gather(1, labels[:, :1])).scatter(1, labels[:, :1], -torch.inf),
            (logits[:, 1, :2] - logits[:, 1].gather(1, labels[:, 1:])).scatter(1, labels[:, 1:], -torch.inf),
        ),
        1,
    )
    torch.testing.assert_close(joint_softmax_loss(logits, labels), torch.log1p(parts.exp().sum(1)).mean())


def test_one_dimension_is_not_enough():
    with pytest.raises(ValueError, match=r"logits must be \[..., problems, classes\], got shape \(3,\)"):
        joint_softmax_loss(torch.zeros(3), torch.tensor(1))
