"""Distributions from a noise against closed forms, brute force on a fine grid, and Monte Carlo."""

import math

import pytest
import torch

from hf_ext.losses import cross_entropy_loss, noise_cross_entropy_loss, noise_probabilities
from hf_ext.ops.largest_of_noisy import NOISES, log_probability_of_largest


def logits_of(rows, classes, scale=1.0):
    generator = torch.Generator().manual_seed(classes)
    return scale * torch.randn(rows, classes, generator=generator, dtype=torch.float64)


def noise_of(kind, *shape):
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
    if kind == "gaussian":
        return torch.randn(shape, generator=generator, dtype=torch.float64)
    return {"uniform": uniform, "exponential": -uniform.log(), "gumbel": -(-uniform.log()).log()}[kind]


def by_grid(margins, noise):
    """Log-probability as a sum over 40,000 points of the noise."""
    low, high = {"gaussian": (-45, 45), "uniform": (0, 1), "exponential": (0, 60)}[noise]
    step = (high - low) / 40_000
    at = low + step * (torch.arange(40_000, dtype=torch.float64) + 0.5)
    x = at[:, None] + margins[..., None, :]
    if noise == "gaussian":
        terms = torch.special.log_ndtr(x).sum(-1) - at.square() / 2 - math.log(math.sqrt(2 * math.pi))
    elif noise == "uniform":
        terms = x.clamp(0, 1).log().sum(-1)
    else:
        terms = torch.log1p(-torch.exp(-x.clamp_min(0))).sum(-1) - at
    return terms.logsumexp(-1) + math.log(step)


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_gumbel_noise_is_the_softmax(scale):
    logits, labels = logits_of(4, 5), torch.tensor([0, 4, -100, 2])
    wanted = cross_entropy_loss(logits, labels, temperature=scale)
    torch.testing.assert_close(noise_cross_entropy_loss(logits, labels, "gumbel", scale), wanted)
    torch.testing.assert_close(noise_probabilities(logits, "gumbel", scale), (logits / scale).softmax(-1))


@pytest.mark.parametrize("margin", [-3.0, -0.4, 0.0, 0.4, 3.0])
def test_two_classes_have_closed_forms(margin):
    margins = torch.tensor([margin], dtype=torch.float64)
    distance = abs(margin)
    below = {
        "gaussian": 0.5 * math.erfc(distance / 2),
        "uniform": max(1 - distance, 0) ** 2 / 2,
        "exponential": math.exp(-distance) / 2,
    }
    for noise, least in below.items():
        wanted = least if margin <= 0 else 1 - least
        got = float(log_probability_of_largest(margins, noise, nodes=64).exp())
        assert got == pytest.approx(wanted, rel=1e-9, abs=5e-5 if noise == "uniform" else 0)


@pytest.mark.parametrize("noise", ["gaussian", "uniform", "exponential"])
@pytest.mark.parametrize("others", [1, 2, 5, 17])
def test_against_a_fine_grid(noise, others):
    margins = logits_of(4, others, 0.2 if noise == "uniform" else 1.5)
    got = log_probability_of_largest(margins, noise, nodes=64)
    bound = {"gaussian": 1e-9, "exponential": 1e-6, "uniform": 3e-3}[noise]
    torch.testing.assert_close(got, by_grid(margins, noise), rtol=0, atol=bound)


def test_far_tails_keep_their_digits():
    """log P grows with the square of the margin, far below what a grid or a probability could hold."""
    for distance in (50.0, 500.0, 5000.0):
        margins = torch.tensor([-distance], dtype=torch.float64, requires_grad=True)
        value = log_probability_of_largest(margins)
        value.backward()
        x = margins.detach() / math.sqrt(2)
        torch.testing.assert_close(value, torch.special.log_ndtr(x)[0], rtol=1e-9, atol=0)
        hazard = math.sqrt(2 / math.pi) / torch.special.erfcx(-x / math.sqrt(2)) / math.sqrt(2)
        torch.testing.assert_close(margins.grad, hazard, rtol=1e-6, atol=0)


@pytest.mark.parametrize("noise", NOISES)
def test_probabilities_against_monte_carlo(noise):
    logits = logits_of(2, 5, 0.4)
    logits[1, 3] = -torch.inf
    probabilities = noise_probabilities(logits, noise, scale=0.7, nodes=64)
    winners = (logits + 0.7 * noise_of(noise, 50_000, 2, 5)).argmax(-1)
    drawn = torch.nn.functional.one_hot(winners, 5).double().mean(0)
    torch.testing.assert_close(probabilities, drawn, rtol=0, atol=0.01)
    torch.testing.assert_close(
        probabilities.sum(-1), torch.ones(2, dtype=torch.float64), rtol=0, atol=2e-3 if noise == "uniform" else 1e-6
    )
    assert probabilities[1, 3] == 0
    for label in range(5):
        loss = noise_cross_entropy_loss(logits[:1], torch.tensor([label]), noise, 0.7, nodes=64)
        torch.testing.assert_close(loss, -probabilities[0, label].log())


def test_probabilities_have_gradients():
    logits = logits_of(2, 4, 0.2).requires_grad_()
    for noise in NOISES:
        assert torch.autograd.gradcheck(lambda x, noise=noise: noise_probabilities(x, noise), logits)
    masked = torch.tensor([[0.1, -torch.inf, 0.3, -torch.inf]], requires_grad=True)
    noise_probabilities(masked)[0, 0].backward()
    assert masked.grad.isfinite().all()


def test_uniform_noise_cannot_lift_a_class_from_below_one():
    logits = torch.tensor([[0.0, 0.5], [0.0, 1.5], [0.0, 1.0]], requires_grad=True)
    losses = noise_cross_entropy_loss(logits, torch.zeros(3, dtype=torch.long), "uniform", nodes=64, reduction="none")
    assert losses.isinf().tolist() == [False, True, True]
    assert float(losses[0].detach()) == pytest.approx(-math.log(0.125), abs=1e-3)
    losses.sum().backward()
    assert logits.grad[0].abs().min() > 0
    assert not logits.grad[1:].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_uniform_noise_at_extremes(dtype):
    logits = torch.tensor([[1e4, -1e4, 1e4], [1e4, 1e4, 1e4]], dtype=dtype, requires_grad=True)
    losses = noise_cross_entropy_loss(logits, torch.tensor([0, 1]), "uniform", reduction="none")
    losses.sum().backward()
    torch.testing.assert_close(losses, torch.tensor([2.0, 3.0]).log(), rtol=0, atol=1e-3)
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": "cauchy"}, "noise must be one of gumbel, gaussian, uniform, exponential, got 'cauchy'"),
        ({"scale": 0.0}, "scale must be above 0, got 0.0"),
        ({"nodes": 0}, "nodes must be at least 1, got 0"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        noise_cross_entropy_loss(torch.zeros(1, 2), torch.tensor([0]), **options)
    with pytest.raises(ValueError, match=message):
        noise_probabilities(torch.zeros(1, 2), **options)
