"""Diagnostics of latents against the numbers of `golden/vae_diagnostics`, and against sums written out."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hf_ext.metrics import gaussian_latents, point_latents, sphere_latents
from hf_ext.ops.von_mises_fisher import draw_von_mises_fisher, kl_to_uniform

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "vae_diagnostics"
TOLERANCE = json.loads((FOLDER / "meta.json").read_text(encoding="utf-8"))["tolerance"]["float64"]


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    with np.load(FOLDER / "io.npz") as file:
        return {name: torch.from_numpy(np.asarray(file[name])) for name in file.files}


def test_gaussian_latents(golden: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by blocks of a few texts."""
    for block in (None, 1500):
        if block:
            monkeypatch.setattr("hf_ext.metrics.latent_space._BLOCK", block)
        found = gaussian_latents(golden["mu"], golden["log_var"], golden["z"])
        assert set(found) == {name for name in golden if name not in ("mu", "log_var", "z") and "sphere" not in name}
        assert found["active_units"] == golden["active_units"]
        for name, value in found.items():
            np.testing.assert_allclose(value, golden[name], atol=TOLERANCE, rtol=0, err_msg=name)
        parts = found["mutual_information"] + found["aggregate_kl"]
        assert parts == pytest.approx(found["kl_sampled"], abs=1e-12)


def test_points(golden: dict[str, Tensor]) -> None:
    """Distributions that have no width."""
    found = point_latents(golden["mu"])
    wanted = gaussian_latents(golden["mu"], torch.full_like(golden["mu"], -700.0), golden["mu"])
    assert set(found) == {"mean_variance", "active_units", "aggregate.mean", "aggregate.second_moment"}
    for name, value in found.items():
        np.testing.assert_allclose(value, wanted[name], atol=1e-12, rtol=0)
    with pytest.raises(ValueError, match=r"z must have shape \[n, D\]"):
        point_latents(golden["mu"][0])


def test_the_sphere(golden: dict[str, Tensor]) -> None:
    found = sphere_latents(golden["mu"])
    assert set(found) == {"resultant", "uniformity", "nearest_angle"}
    for name in ("resultant", "uniformity"):
        assert found[name] == pytest.approx([float(golden[f"sphere.{name}"])], abs=TOLERANCE)


def test_sphere_latents_written_out() -> None:
    generator = torch.Generator().manual_seed(0)
    mean = torch.nn.functional.normalize(torch.randn(7, 2, 4, generator=generator, dtype=torch.float64), dim=-1)
    z = draw_von_mises_fisher(mean, 5.0, generator=generator)
    found = sphere_latents(mean, 5.0, z)
    angles = [
        [min(math.acos(float(mean[i, k] @ mean[j, k])) for j in range(7) if j != i) for i in range(7)] for k in (0, 1)
    ]
    assert found["nearest_angle"] == pytest.approx([sum(row) / 7 for row in angles], abs=1e-9)
    assert found["overlap"] == pytest.approx([sum(a < 2 * found["spread"] for a in row) / 7 for row in angles])
    assert found["kl"] == pytest.approx(2 * kl_to_uniform(4, 5.0))
    # Density by density, over the uniform distribution's.
    surface = 2 * math.pi**2
    # The Bessel function of order Z / 2 - 1 = 1, by its series.
    bessel = sum(2.5 ** (2 * m + 1) / (math.factorial(m) * math.factorial(m + 1)) for m in range(60))
    constant = math.log(5.0 / ((2 * math.pi) ** 2 * bessel)) + math.log(surface)
    q = np.array([[[constant + 5.0 * float(z[i, k] @ mean[j, k]) for k in (0, 1)] for j in range(7)] for i in range(7)])
    joint = np.log(np.exp(q.sum(-1)).mean(1))
    apart = np.log(np.exp(q).mean(1)).sum(-1)
    own = np.array([q[i, i].sum() for i in range(7)])
    wanted = {
        "mutual_information": (own - joint).mean(),
        "total_correlation": (joint - apart).mean(),
        "aggregate_kl": joint.mean(),
        "kl_sampled": own.mean(),
    }
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize(
    ("mean", "resultant"),
    [(torch.eye(3)[:1].expand(5, 3), 1.0), (torch.cat((torch.eye(3), -torch.eye(3))), 0.0)],
)
def test_resultants_at_the_ends(mean: Tensor, resultant: float) -> None:
    assert sphere_latents(mean)["resultant"] == pytest.approx([resultant], abs=1e-12)


def test_one_text_and_none() -> None:
    one = torch.randn(1, 4)
    found: dict[str, Any] = gaussian_latents(one, torch.zeros(1, 4), one)
    assert found["mutual_information"] == 0.0
    assert sphere_latents(one, 3.0, one)["nearest_angle"] == [None]
    for arguments in ((one[:0], one[:0], one[:0]), (one, one, one[:, :3]), (one[0], one[0], one[0])):
        with pytest.raises(ValueError, match="must have"):
            gaussian_latents(*arguments)
    with pytest.raises(ValueError, match=r"mean must have shape \[n, K, Z\]"):
        sphere_latents(one[:0])
