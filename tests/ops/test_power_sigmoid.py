from math import prod

import pytest
import torch

from hf_ext.ops.nearest_ends import nearest_ends
from hf_ext.ops.power_sigmoid import power_logit


@pytest.mark.parametrize("power", [1, 2, 4])
def test_power_logit_is_that_of_the_plain_formula(power):
    scores = torch.linspace(-8, 8, 33, dtype=torch.float64, requires_grad=True)
    probability = scores.sigmoid() ** power
    wanted = probability.log() - (1 - probability).log()
    found = power_logit(scores, power)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    gradients = [torch.autograd.grad(value.sum(), scores)[0] for value in (found, wanted)]
    torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_power_logit_is_finite_at_the_ends(dtype):
    scores = torch.tensor([-60000.0, -300, 0, 300, 60000], dtype=dtype).requires_grad_()
    found = power_logit(scores, 4)
    assert found.dtype == torch.float32
    # Far below it is four times the score, and far above the score less log 4.
    torch.testing.assert_close(found[0], 4 * scores[0].float())
    torch.testing.assert_close(found[4], scores[4].float() - torch.tensor(4.0).log())
    # Of a score that overflowed, too.
    least, most = power_logit(torch.tensor([-torch.inf, torch.inf], dtype=dtype), 4)
    assert dtype != torch.float16 or (least.isfinite() and most.isfinite())
    assert least < found[0]
    assert most > found[4]
    found.sum().backward()
    assert scores.grad.isfinite().all()


def test_power_must_be_at_least_one():
    with pytest.raises(ValueError, match="power must be at least 1, got 0"):
        power_logit(torch.zeros(1), 0)


@pytest.mark.parametrize("shape", [(7,), (3, 1), (2, 3, 9), (2, 0)])
def test_nearest_ends_one_by_one(shape):
    ends = torch.rand(shape, generator=torch.Generator().manual_seed(1)) < 0.3
    found = nearest_ends(ends)
    length = shape[-1]
    for row, own in zip(ends.view(prod(shape[:-1]), length), found.view(prod(shape[:-1]), length)):
        wanted = [next((j for j in range(i, length) if row[j]), length) for i in range(length)]
        assert own.tolist() == wanted
    assert found.shape == ends.shape
