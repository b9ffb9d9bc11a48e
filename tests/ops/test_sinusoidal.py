"""Sinusoidal positions against their formulas, numbers of an independent transcription, and special functions."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hf_ext.ops.sinusoidal import position_similarity, similarity_integral, sinusoidal_table


@pytest.fixture(scope="module")
def io(golden: Path) -> dict[str, Tensor]:
    with np.load(golden / "sinusoidal" / "io.npz") as file:
        return {name: torch.from_numpy(value) for name, value in file.items()}


def test_table() -> None:
    table = sinusoidal_table(7, 6, dtype=torch.float64)
    for row in range(7):
        for i in range(3):
            angle = row / 10000 ** (2 * i / 6)
            assert table[row, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-15)
            assert table[row, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-15)


@pytest.mark.parametrize("dim", [64, 128])
def test_similarity_of_the_reference(dim: int, io: dict[str, Tensor]) -> None:
    torch.testing.assert_close(position_similarity(io["distance"], dim), io[f"dot_{dim}"], atol=1e-9, rtol=0)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((f"base_{base}", {"base": float(base)}) for base in (100, 1000, 10000)),
        *((f"power_{power}", {"power": power}) for power in (0.5, 1.0, 2.0)),
    ],
)
def test_integral_of_the_reference(name: str, kind: dict[str, float], io: dict[str, Tensor]) -> None:
    found = similarity_integral(io["distance"], **kind)
    torch.testing.assert_close(found, io[f"integral.{name}"], atol=1e-8, rtol=0)


def test_similarity_is_the_inner_product_of_rows() -> None:
    table = sinusoidal_table(50, 10, dtype=torch.float64)
    distance = torch.arange(50)[:, None] - torch.arange(50)
    torch.testing.assert_close(position_similarity(distance, 10), table @ table.T, atol=1e-12, rtol=0)
    thetas = torch.tensor([0.3, 2.0])
    found = position_similarity(torch.tensor([0, -4]), frequencies=thetas)
    wanted = [2.0, math.cos(4 * float(thetas[0])) + math.cos(8)]
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize("distance", [0.0, 1e-9, 0.5, -3.0, math.pi, 100.0, 5000.0])
def test_integral_in_closed_form(distance: float) -> None:
    """Of theta = t it is sin(x) / x; of an exponential, the difference of two cosine integrals over the logarithm."""
    special = pytest.importorskip("scipy.special")
    x = torch.tensor(distance)
    found = float(similarity_integral(x, power=1))
    assert found == pytest.approx(float(np.sinc(float(x) / math.pi)), abs=1e-12)
    for base in (1.5, 1e4, 1e6):
        far, near = (special.sici(abs(float(x)) / scale)[1] for scale in (1, base))
        wanted = (far - near) / math.log(base) if distance else 1.0
        assert float(similarity_integral(x, base=base)) == pytest.approx(wanted, abs=1e-11)


@pytest.mark.parametrize("power", [0.1, 0.7, 1.5, 3.0, 12.0])
def test_integral_of_any_power(power: float) -> None:
    """With s = t^power, the integral is one over s with a weight, which a library integrates."""
    integrate = pytest.importorskip("scipy.integrate")
    for x in (0.7, 25.0):
        if power <= 1:
            rule = {"weight": "cos", "wvar": x}
            wanted, _ = integrate.quad(lambda s: s ** (1 / power - 1) / power, 0, 1, epsabs=1e-12, limit=500, **rule)
        else:
            wanted, _ = integrate.quad(lambda t, x=x: math.cos(x * t**power), 0, 1, epsabs=1e-12, limit=500)
        assert float(similarity_integral(torch.tensor(x), power=power)) == pytest.approx(wanted, abs=1e-7)


def test_sum_tends_to_the_integral() -> None:
    distance = torch.tensor([0, 1, 10, 64, 512])
    for base in (100.0, 10000.0):
        found = position_similarity(distance, 2**15, base) / 2**14
        torch.testing.assert_close(found, similarity_integral(distance, base), atol=2e-4, rtol=0)


def test_what_the_article_reads_off() -> None:
    """10,000 falls off slowly, a hundred quickly; theta = t crosses zero at pi."""
    near, far = (similarity_integral(torch.tensor([64, 512]), base) for base in (100.0, 10000.0))
    assert near[0].abs() < 0.01
    assert [round(float(x), 2) for x in far] == [0.49, 0.26]
    assert similarity_integral(torch.tensor([3.0, math.pi, 3.2]), power=1).sign()[::2].tolist() == [1, -1]


def test_shapes() -> None:
    for shape in ((), (0,), (2, 3, 1)):
        assert similarity_integral(torch.ones(shape), base=10).shape == shape
        assert position_similarity(torch.ones(shape, dtype=torch.int), 4).shape == shape
    many = torch.arange(3000.0)
    torch.testing.assert_close(
        similarity_integral(many, 10)[7:8], similarity_integral(many[7:8], 10), atol=1e-12, rtol=0
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: position_similarity(x), "give either dim or frequencies, got neither"),
        (lambda x: position_similarity(x, 4, frequencies=x), "give either dim or frequencies, got both"),
        (lambda x: position_similarity(x, 5), "dim must be even to rotate adjacent pairs, got 5"),
        (lambda x: similarity_integral(x), "give either base or power, got neither"),
        (lambda x: similarity_integral(x, 2, 2), "give either base or power, got both"),
        (lambda x: similarity_integral(x, 1), "base must be more than 1, got 1"),
        (lambda x: similarity_integral(x, power=0), "power must be more than 0, got 0"),
    ],
)
def test_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(torch.ones(3))
