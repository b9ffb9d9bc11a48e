"""Expected accuracy against Monte Carlo, closed forms, an integral along a line; and what it is for."""

import math

import pytest
import torch
from torch.nn import functional as F

from hf_ext.losses import cross_entropy_loss, exact_loss
from hf_ext.ops.orthant import orthant_probability


def logits_and_labels(rows, classes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    return logits, torch.arange(rows) % classes


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0])
def test_two_classes_have_a_closed_form(sigma):
    logits, labels = logits_and_labels(7, 2)
    margins = logits.gather(1, labels[:, None]) - logits.gather(1, 1 - labels[:, None])
    logits.requires_grad_()
    loss = exact_loss(logits, labels, sigma, reduction="none")
    wanted = torch.special.ndtr(-margins.squeeze(1) / (sigma * math.sqrt(2)))
    torch.testing.assert_close(loss, wanted, rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(lambda x: exact_loss(x, labels, sigma), logits)
    assert torch.autograd.gradgradcheck(lambda x: exact_loss(x, labels, sigma), logits)


@pytest.mark.parametrize("sigma", [0.5, 2.0])
def test_three_classes_against_a_fine_grid(sigma):
    """P(d > 0) as a sum over a grid of the two differences' density, in float64."""
    logits, labels = logits_and_labels(4, 3)
    step = 0.02
    axis = torch.arange(0, 12 * sigma + 6, step * sigma, dtype=torch.float64) + step * sigma / 2
    inverse = torch.linalg.inv(sigma**2 * torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64))
    for row, label in zip(logits, labels):
        mean = row[label] - torch.cat((row[:label], row[label + 1 :]))
        x, y = torch.meshgrid(axis - mean[0], axis - mean[1], indexing="ij")
        form = inverse[0, 0] * x * x + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y * y
        density = torch.exp(-form / 2) * inverse.det().sqrt() / (2 * math.pi)
        error = 1 - density.sum() * (step * sigma) ** 2
        loss = exact_loss(row[None], label[None], sigma, points=4096)
        assert float(loss) == pytest.approx(float(error), abs=2e-5)


@pytest.mark.parametrize("classes", [2, 3, 6, 20])
def test_against_monte_carlo(classes):
    logits, labels = logits_and_labels(3, classes)
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(100_000, 3, classes, generator=generator)
    right = ((logits + 0.8 * noise).argmax(-1) == labels).double()
    spread = (right.var(0) / len(right)).sqrt()
    loss = exact_loss(logits, labels, 0.8, points=1024, reduction="none")
    assert ((loss - (1 - right.mean(0))).abs() < 5 * spread + 1e-3).all()


@pytest.mark.parametrize("classes", [2, 3, 5, 12])
@pytest.mark.parametrize("sigma", [0.4, 1.5])
def test_both_integrals_agree_in_value_and_gradient(classes, sigma):
    logits, labels = logits_and_labels(5, classes)
    results = []
    for integral in ("orthant", "line"):
        x = logits.clone().requires_grad_()
        loss = exact_loss(x, labels, sigma, points=2048, integral=integral, reduction="none")
        loss.sum().backward()
        results.append((loss, x.grad))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=0, atol=1e-4)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=0, atol=1e-4)


def test_more_points_come_nearer():
    logits, labels = logits_and_labels(8, 6)
    line = exact_loss(logits, labels, integral="line", reduction="none")
    errors = [
        float((exact_loss(logits, labels, points=n, reduction="none") - line).square().mean()) for n in (16, 256, 4096)
    ]
    assert errors[0] > 10 * errors[1] > 100 * errors[2]


def test_the_gradient_is_the_integrals_own():
    """With few points the value is rough, yet its slope and that of the exact integral differ by as little."""
    logits, labels = logits_and_labels(6, 3)
    logits.requires_grad_()
    (rough,) = torch.autograd.grad(exact_loss(logits, labels, points=1, reduction="sum"), logits)
    (true,) = torch.autograd.grad(exact_loss(logits, labels, integral="line", reduction="sum"), logits)
    # The gradient of three classes needs normal numbers of one dimension only, which are exact.
    torch.testing.assert_close(rough, true, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e2, 1e4])
def test_extreme_logits(dtype, scale):
    logits, labels = logits_and_labels(6, 5)
    logits = (logits * scale).clamp(-scale, scale).to(dtype)
    logits[0, 3] = -torch.inf
    logits.requires_grad_()
    loss = exact_loss(logits, labels, reduction="none")
    loss.sum().backward()
    assert ((loss >= 0) & (loss <= 1)).all()
    assert logits.grad.isfinite().all()
    torch.testing.assert_close(
        loss.double(), exact_loss(logits.detach().double(), labels, reduction="none"), rtol=0, atol=1e-5
    )


def test_options():
    logits, labels = logits_and_labels(6, 5)
    labels[2] = -100
    kept = labels != -100

    bounded = logits.clone()
    others = torch.arange(5) != labels[:, None]
    own = logits.gather(1, labels.clamp(min=0)[:, None])
    bounded[others] = torch.maximum(logits, own - 0.5)[others]
    torch.testing.assert_close(exact_loss(logits, labels, margin=0.5), exact_loss(bounded, labels))

    known = logits[kept]
    standard = (logits - known.mean()) / known.std(correction=0)
    torch.testing.assert_close(exact_loss(3 * logits + 7, labels, standardize=True), exact_loss(standard, labels))

    rows = []
    for row, label in zip(logits[kept], labels[kept]):
        wrong = torch.cat((row[:label], row[label + 1 :])).topk(2).values
        rows.append(exact_loss(torch.cat((row[label, None], wrong))[None], torch.tensor([0])))
    torch.testing.assert_close(exact_loss(logits, labels, hardest=2), torch.stack(rows).mean())
    torch.testing.assert_close(exact_loss(logits, labels, hardest=9), exact_loss(logits, labels))

    sigma = torch.linspace(0.5, 1.5, 6, dtype=torch.float64, requires_grad=True)
    each = [exact_loss(row[None], label[None], s) for row, label, s in zip(logits, labels, sigma.tolist())]
    together = exact_loss(logits, labels, sigma, reduction="none")
    torch.testing.assert_close(together, torch.stack(each))
    together.sum().backward()
    assert sigma.grad[2] == 0
    assert sigma.grad[kept].abs().min() > 0


def test_one_class_is_always_right():
    logits = torch.randn(3, 1, requires_grad=True)
    loss = exact_loss(logits, torch.zeros(3, dtype=torch.long))
    loss.backward()
    assert loss == 0
    assert not logits.grad.any()


POINTS = torch.tensor([0.0, 0.5, 0.5])
CLASSES = torch.tensor([0, 1, 1])


def fitted_accuracy(loss):
    """Of a threshold on a line, by gradient descent: class 1 where ``x + bias > 0``. A bias in (-0.5, 0) is right."""
    bias = torch.zeros((), requires_grad=True)
    for step in range(150):
        score = POINTS + bias
        value = loss(torch.stack((torch.zeros(3), score), -1), step / 150)
        (slope,) = torch.autograd.grad(value, bias)
        bias.data -= 0.3 * slope
    return float(((POINTS + bias > 0).long() == CLASSES).float().mean())


@pytest.mark.parametrize(
    ("loss", "accuracy"),
    [
        (lambda logits, _: cross_entropy_loss(logits, CLASSES), 2 / 3),
        (lambda logits, _: F.multi_margin_loss(logits, CLASSES), 2 / 3),
        (lambda logits, done: exact_loss(logits, CLASSES, sigma=10 ** (-1.5 * done)), 1.0),
        (lambda logits, done: exact_loss(logits, CLASSES, sigma=10 ** (-1.5 * done), integral="line"), 1.0),
    ],
    ids=["cross-entropy", "hinge", "EXACT", "EXACT, line"],
)
def test_three_points_on_a_line(loss, accuracy):
    """Two positives outvote the negative beside them in cross-entropy and hinge loss; yet all three can be right."""
    assert fitted_accuracy(loss) == pytest.approx(accuracy)


def test_orthant_of_independent_numbers_is_a_product():
    means = torch.linspace(-2, 2, 12, dtype=torch.float64).view(3, 4).requires_grad_()
    value = orthant_probability(means, shared=0.0)
    torch.testing.assert_close(value, torch.special.ndtr(means).prod(-1))
    assert torch.autograd.gradcheck(lambda x: orthant_probability(x, 0.0), means)


def test_orthant_of_infinite_means():
    means = torch.tensor([[0.3, -0.2, torch.inf], [0.3, -0.2, -torch.inf]], dtype=torch.float64, requires_grad=True)
    value = orthant_probability(means, points=4096)
    value.sum().backward()
    two = orthant_probability(means[0, :2], points=4096)
    torch.testing.assert_close(value[0], two, rtol=0, atol=1e-5)
    assert value[1] == 0
    assert means.grad.isfinite().all()
    assert orthant_probability(torch.empty(2, 0)).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma": 0.0}, "sigma must be above 0, got 0.0"),
        ({"sigma": torch.tensor([1.0, -1.0])}, "sigma must be above 0, got -1.0"),
        ({"margin": 0.0}, "margin must be above 0, got 0.0"),
        ({"hardest": 0}, "hardest must be at least 1, got 0"),
        ({"points": 0}, "points must be at least 1, got 0"),
        ({"integral": "genz"}, "integral must be 'orthant' or 'line', got 'genz'"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        exact_loss(torch.zeros(2, 3), torch.zeros(2, dtype=torch.long), **options)


@pytest.mark.parametrize(
    ("options", "message"), [({"shared": -1}, "shared must be"), ({"points": 0}, "points must be")]
)
def test_wrong_options_of_the_integral(options, message):
    with pytest.raises(ValueError, match=message):
        orthant_probability(torch.zeros(2, 3), **options)
