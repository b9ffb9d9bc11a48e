"""The von Mises-Fisher distribution: golden facts, quadrature in float64, and the distribution of samples."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hf_ext.ops.von_mises_fisher import (
    cosine_quantile,
    draw_von_mises_fisher,
    kl_to_uniform,
    log_partition,
    mean_cosine,
)

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "univae"
CASES = [
    (3, 0.01),
    (3, 1.0),
    (3, 500.0),
    (4, 7.0),
    (5, 1e-3),
    (16, 32.0),
    (64, 1.0),
    (64, 300.0),
    (257, 20.0),
    (16, 1e4),
]


def density(size: int, kappa: float) -> tuple[np.ndarray, np.ndarray]:
    """Cosines ``cos(t)`` at the middles of even steps of t, and the mass of each step, in the angle's measure."""
    t = (np.arange(400_000) + 0.5) * math.pi / 400_000
    log = kappa * np.cos(t) + (size - 2) * np.log(np.sin(t))
    mass = np.exp(log - log.max())
    return np.cos(t), mass / mass.sum()


def test_the_golden_facts() -> None:
    meta = json.loads((FOLDER / "meta.json").read_text(encoding="utf-8"))
    size, kappa = meta["sizes"]["z_dim"], meta["sizes"]["kappa"]
    with np.load(FOLDER / "io.npz") as file:
        exact = meta["tolerance"]["vmf.kl, vmf.mean_w"]
        assert kl_to_uniform(size, kappa) == pytest.approx(float(file["vmf.kl"]), abs=exact)
        assert mean_cosine(size, kappa) == pytest.approx(float(file["vmf.mean_w"]), abs=exact)
        found = cosine_quantile(torch.from_numpy(file["vmf.u"]), size, kappa)
        np.testing.assert_allclose(found, file["vmf.quantile_w"], atol=meta["tolerance"]["vmf.quantile_w"], rtol=0)


def test_the_defaults_of_the_model() -> None:
    assert kl_to_uniform(16, 32.0) == pytest.approx(7.582, abs=5e-4)
    assert mean_cosine(16, 32.0) == pytest.approx(0.790, abs=5e-4)


@pytest.mark.parametrize(("size", "kappa"), CASES)
def test_moments_by_quadrature(size: int, kappa: float) -> None:
    w, mass = density(size, kappa)
    mean = float((w * mass).sum())
    assert mean_cosine(size, kappa) == pytest.approx(mean, abs=1e-8)
    if kappa <= 300:
        w, uniform = density(size, 0.0)
        partition = float(np.log((np.exp(kappa * (w - 1)) * uniform).sum())) + kappa
        assert log_partition(size, kappa) == pytest.approx(partition, abs=1e-7)
        assert kl_to_uniform(size, kappa) == pytest.approx(kappa * mean - partition, abs=1e-6)


@pytest.mark.parametrize(("size", "kappa"), CASES)
def test_quantiles_by_quadrature(size: int, kappa: float) -> None:
    """Between the ends to a small part of the spread, in either type of number."""
    w, mass = density(size, kappa)
    below = np.cumsum(mass[::-1])[::-1] - mass / 2
    u = np.array([1e-6, 1e-3, 0.1, 0.3, 0.5, 0.9, 0.999])
    wanted = np.interp(u, below[::-1], w[::-1])
    spread = math.sqrt(float((w**2 * mass).sum() - (w * mass).sum() ** 2))
    found = cosine_quantile(torch.from_numpy(u), size, kappa)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found, wanted, atol=2e-4 * spread, rtol=0)
    single = cosine_quantile(torch.from_numpy(u).float(), size, kappa)
    np.testing.assert_allclose(single, wanted, atol=2e-3 * spread, rtol=0)
    ends = cosine_quantile(torch.tensor([0.0, 1.0]), size, kappa)
    assert ends[0] < wanted[0]
    assert wanted[-1] < ends[1] <= 1


@pytest.mark.parametrize(("size", "kappa"), [(3, 2.0), (16, 32.0), (6, 0.1)])
def test_samples(size: int, kappa: float) -> None:
    """Unit vectors around each mean: the cosine by Kolmogorov and Smirnov, and all directions across it alike."""
    generator = torch.Generator().manual_seed(1)
    count = 20_000
    mean = F.normalize(torch.randn(1, size, generator=generator, dtype=torch.float64), dim=-1).expand(count, -1)
    z = draw_von_mises_fisher(mean, kappa, generator=generator)
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(count, dtype=torch.float64))
    cosines = (z * mean).sum(-1).sort().values
    w, mass = density(size, kappa)
    below = np.interp(cosines.numpy(), w[::-1], np.cumsum(mass[::-1]))
    steps = np.arange(count + 1) / count
    distance = max(np.abs(below - steps[1:]).max(), np.abs(below - steps[:-1]).max())
    # At the level of one in a thousand.
    assert distance < 1.95 / math.sqrt(count)
    across = F.normalize(z - (z * mean).sum(-1, keepdim=True) * mean, dim=-1)
    assert across.mean(0).norm() < 4 / math.sqrt(count)
    # One cosine a row, not one a batch.
    assert len(cosines.unique()) > 0.99 * count


def test_gradients_flow_through_the_mean_alone() -> None:
    generator = torch.Generator().manual_seed(2)
    raw = torch.randn(5, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    noise = (torch.rand(5, generator=generator, dtype=torch.float64), torch.randn(5, 4, generator=generator).double())
    assert torch.autograd.gradcheck(lambda x: draw_von_mises_fisher(F.normalize(x, dim=-1), 3.0, noise), (raw,))


def test_half_precision_of_means() -> None:
    for dtype in (torch.bfloat16, torch.float16):
        z = draw_von_mises_fisher(F.normalize(torch.randn(9, 2, 16, dtype=dtype), dim=-1), 32.0)
        assert z.dtype == dtype
        assert z.isfinite().all()


@pytest.mark.parametrize(
    ("size", "kappa", "message"),
    [
        (2, 1.0, "latent_size must be at least 3 on a sphere, .* got 2"),
        (1, 1.0, "got 1"),
        (3, 0.0, "kappa must be positive, got 0"),
        (3, math.inf, "kappa must be positive, got inf"),
        (3, math.nan, "kappa must be positive, got nan"),
    ],
)
def test_what_is_no_distribution(size: int, kappa: float, message: str) -> None:
    for function in (mean_cosine, kl_to_uniform, log_partition, lambda s, k: cosine_quantile(torch.rand(2), s, k)):
        with pytest.raises(ValueError, match=message):
            function(size, kappa)
