"""The divergence of two GlobalPointers against a sum of Bernoulli divergences."""

import pytest
import torch

from hf_ext.losses import PointerDivergence, pointer_divergence
from hf_ext.ops.pointer import span_mask


def scores(seed, dtype=torch.float64, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    values = scale * torch.randn(2, 3, 5, 5, generator=generator, dtype=torch.float64).clamp(-1, 1)
    return values.to(dtype).masked_fill(
        ~span_mask(5, torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])).unsqueeze(1), -torch.inf
    )


def test_is_the_symmetric_divergence_of_sigmoids():
    first, second = scores(0), scores(1)
    p, q = torch.distributions.Bernoulli(logits=first), torch.distributions.Bernoulli(logits=second)
    with torch.no_grad():
        both = torch.distributions.kl_divergence(p, q) + torch.distributions.kl_divergence(q, p)
    wanted = both.masked_fill(first == -torch.inf, 0).sum((-2, -1))
    torch.testing.assert_close(pointer_divergence(first, second, "none"), wanted)
    torch.testing.assert_close(PointerDivergence()(first, second), wanted.mean())
    torch.testing.assert_close(PointerDivergence("sum")(second, first), wanted.sum())
    assert pointer_divergence(first, first) == 0


def test_gradients():
    first, second = scores(0)[0, :1, :3, :3].requires_grad_(), scores(1)[0, :1, :3, :3].requires_grad_()
    pointer_divergence(first, second).backward()
    assert first.grad.isfinite().all()
    assert not first.grad[first == -torch.inf].any()
    free = torch.randn(1, 2, 2, dtype=torch.float64, requires_grad=True)
    other = torch.randn(1, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pointer_divergence, (free, other))
    assert torch.autograd.gradgradcheck(pointer_divergence, (free, other))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 1e4])
def test_extreme_scores(dtype, scale):
    first, second = scores(0, dtype, scale).requires_grad_(), scores(1, dtype, scale)
    value = pointer_divergence(first, second)
    value.backward()
    assert value.dtype == torch.float32
    assert value >= 0
    torch.testing.assert_close(
        value.double(), pointer_divergence(first.detach().double(), second.double()), rtol=1e-4, atol=1e-9
    )
    assert first.grad.isfinite().all()


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (torch.zeros(1, 2, 2), torch.zeros(1, 2, 3), r"other must have the shape .*\(1, 2, 2\), got \(1, 2, 3\)"),
        (torch.zeros(2), torch.zeros(2), r"\[..., L, L\]"),
        (torch.full((1, 1), torch.nan), torch.zeros(1, 1), "scores must be numbers or -inf, got nan"),
        (torch.zeros(1, 1), torch.full((1, 1), torch.inf), "other must be numbers or -inf, got inf"),
        (torch.zeros(0, 1, 1), torch.zeros(0, 1, 1), "scores must be floats, at least one"),
    ],
)
def test_what_does_not_fit_is_refused(first, second, message):
    with pytest.raises(ValueError, match=message):
        pointer_divergence(first, second)
