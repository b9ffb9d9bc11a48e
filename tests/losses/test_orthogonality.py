"""Penalties of angles against the numbers of `golden/regularizers`, brute force, and matrices that are orthogonal."""

import math

import numpy as np
import pytest
import torch

from hf_ext.losses import (
    OrthogonalityPenalty,
    SelfOrthogonalityPenalty,
    orthogonality_penalty,
    self_orthogonality_penalty,
)

KINDS = ("soft", "off_diagonal", "cosine", "spectral")


@pytest.fixture(scope="module")
def io(golden):
    with np.load(golden / "regularizers" / "io.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file}


def drawn(*shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("kind", KINDS)
def test_penalties_of_a_kernel(io, kind):
    kernel = io["kernel"].clone().requires_grad_()
    value = orthogonality_penalty(kernel.T, kind, iterations=None)
    value.backward()
    torch.testing.assert_close(value.detach(), io[f"{kind}_value"], rtol=0, atol=1e-10)
    torch.testing.assert_close(kernel.grad, io[f"{kind}_grad"], rtol=0, atol=1e-10)
    # The columns of the kernel, and the fewer ones, are the same vectors.
    for same in (orthogonality_penalty(io["kernel"], kind, axis, None) for axis in ("columns", "fewer")):
        torch.testing.assert_close(same, value.detach())
    torch.testing.assert_close(OrthogonalityPenalty(kind, "columns", None)(io["kernel"]), value.detach())


def test_penalty_of_what_units_give(io):
    kernel, inputs = io["kernel"].clone().requires_grad_(), io["inputs"].clone().requires_grad_()
    value = self_orthogonality_penalty(inputs @ kernel)
    value.backward()
    torch.testing.assert_close(value.detach(), io["self_value"], rtol=0, atol=1e-10)
    torch.testing.assert_close(kernel.grad, io["self_grad_kernel"], rtol=0, atol=1e-10)
    torch.testing.assert_close(inputs.grad, io["self_grad_inputs"], rtol=0, atol=1e-10)
    torch.testing.assert_close(SelfOrthogonalityPenalty()(io["inputs"] @ io["kernel"]), value.detach())


def test_signs_agree_as_angles_say(io):
    """The lemma of the estimate, with numbers of the data and in a batch of random inputs."""
    assert float(io["sign_agreement"]) == pytest.approx(1 - 2 * float(io["angle"]) / math.pi, abs=1e-10)
    angle = 0.9
    vectors = torch.tensor([[1.0, 0, 0], [math.cos(angle), math.sin(angle), 0]], dtype=torch.float64)
    value = self_orthogonality_penalty(drawn(40000, 3) @ vectors.T, gamma=1e6, mean_weight=0.0, reduction="mean")
    assert math.sqrt(value) == pytest.approx(1 - 2 * angle / math.pi, abs=0.02)


@pytest.mark.parametrize(("mean_weight", "square_weight"), [(100.0, 1.0), (0.0, 2.0), (3.0, 0.0)])
def test_pairs_one_by_one(mean_weight, square_weight):
    outputs = drawn(7, 3)
    signs = [[math.tanh(2 * float(x)) for x in row] for row in outputs]
    lengths = [math.sqrt(sum(row[i] ** 2 for row in signs)) for i in range(3)]
    pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
    values = [sum(row[i] * row[j] for row in signs) / lengths[i] / lengths[j] for i, j in pairs]
    for reduction, number in (("sum", 1), ("mean", 6)):
        wanted = mean_weight * (sum(values) / number) ** 2 + square_weight * sum(v * v for v in values) / number
        value = self_orthogonality_penalty(outputs, None, 2.0, mean_weight, square_weight, reduction)
        assert float(value) == pytest.approx(wanted, rel=1e-12)


def test_padding_does_not_count():
    outputs, mask = drawn(2, 4, 3), torch.tensor([[1, 1, 0, 0], [0, 1, 1, 1]])
    outputs[mask == 0] = torch.nan
    outputs.requires_grad_()
    value = self_orthogonality_penalty(outputs, mask)
    torch.testing.assert_close(value, self_orthogonality_penalty(outputs.detach()[mask == 1]))
    value.backward()
    assert outputs.grad.isfinite().all()
    assert not outputs.grad[mask == 0].any()


def test_units_that_give_nothing_or_are_alone():
    outputs = drawn(5, 3)
    outputs[:, 1] = 0
    outputs.requires_grad_()
    value = self_orthogonality_penalty(outputs)
    torch.testing.assert_close(value, self_orthogonality_penalty(outputs.detach()[:, [0, 2]]))
    value.backward()
    assert outputs.grad.abs().max() < 1e5
    assert self_orthogonality_penalty(outputs[:, :1]) == 0
    assert self_orthogonality_penalty(outputs[:, :1], reduction="mean") == 0
    weight = torch.zeros(2, 3, requires_grad=True)
    orthogonality_penalty(weight, "cosine").backward()
    assert not weight.grad.any()


def test_orthogonal_matrices_have_no_penalty():
    weight = torch.linalg.qr(drawn(5, 3))[0].T
    for kind in KINDS:
        assert orthogonality_penalty(weight, kind) < 1e-14
    # Orthogonal, not of length 1: only the soft and the spectral one mind.
    assert orthogonality_penalty(3 * weight, "off_diagonal") < 1e-20
    assert orthogonality_penalty(3 * weight, "cosine") < 1e-20
    assert float(orthogonality_penalty(3 * weight, "soft")) == pytest.approx(3 * 8**2)
    assert float(orthogonality_penalty(3 * weight, "spectral")) == pytest.approx(8)
    assert float(orthogonality_penalty(torch.zeros(2, 3), "spectral")) == 1


def test_power_iteration_nears_the_eigenvalue_from_below():
    weight = drawn(6, 9)
    exact = orthogonality_penalty(weight, "spectral", iterations=None)
    values = [float(orthogonality_penalty(weight, "spectral", iterations=n)) for n in (0, 2, 8, 200)]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(float(exact), rel=1e-9)
    assert values[1] > 0.9 * float(exact)
    weight.requires_grad_()
    gradients = [
        torch.autograd.grad(orthogonality_penalty(weight, "spectral", iterations=n), weight)[0] for n in (None, 200)
    ]
    torch.testing.assert_close(*gradients)


def test_gradients():
    weight, outputs = drawn(3, 4).requires_grad_(), (0.1 * drawn(5, 3)).requires_grad_()
    for kind in KINDS:
        assert torch.autograd.gradcheck(lambda x, k=kind: orthogonality_penalty(x, k, iterations=None), weight)
    # The penalty of a gradient differentiates twice what is in the loss.
    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        assert check(lambda x: orthogonality_penalty(x, "cosine"), weight)
        assert check(self_orthogonality_penalty, outputs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sums_are_in_float32(dtype):
    weight, outputs = drawn(30, 40, dtype=dtype), drawn(50, 30, dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16):
        for kind in KINDS:
            value = orthogonality_penalty(weight, kind)
            assert value.dtype == torch.float32
            torch.testing.assert_close(value.double(), orthogonality_penalty(weight.double(), kind), rtol=1e-4, atol=0)
        value = self_orthogonality_penalty(outputs)
        torch.testing.assert_close(value.double(), self_orthogonality_penalty(outputs.double()), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((4, 3), {}, r"got 4 rows of 3, which cannot be orthogonal; axis='fewer' takes"),
        ((3, 4), {"axis": "columns"}, r"got 4 columns of 3"),
        ((3, 4), {"kind": "hard"}, "kind must be one of soft, off_diagonal, cosine, spectral, got 'hard'"),
        ((3, 4), {"axis": "all"}, "axis must be one of rows, columns, fewer, got 'all'"),
        ((3, 4), {"iterations": -1}, "iterations must be at least 0, got -1"),
        ((3,), {}, r"weight must have the shape \[k, d\], got \(3,\)"),
        ((0, 3), {}, "weight must be floats, at least one"),
    ],
)
def test_wrong_weights_and_options(shape, options, message):
    with pytest.raises(ValueError, match=message):
        orthogonality_penalty(torch.zeros(shape), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask": torch.ones(3)}, r"mask must have the shape \(2,\), got \(3,\)"),
        ({"mask": torch.zeros(2)}, "outputs must be floats, at least one"),
        ({"gamma": 0}, "gamma must be above 0, got 0"),
        ({"mean_weight": -1}, "mean_weight must be at least 0, got -1"),
        ({"reduction": "none"}, "reduction must be 'sum' or 'mean', got 'none'"),
    ],
)
def test_wrong_outputs_and_options(options, message):
    with pytest.raises(ValueError, match=message):
        self_orthogonality_penalty(torch.ones(2, 3), **options)
