"""Rotary embedding against exact angles, brute force, the original layers and the rules that make it relative."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hf_ext.ops.rotary import apply_rotary, rotary_cos_sin, rotary_frequencies


def rotate_by_brute_force(x: Tensor, positions: Tensor, theta: float = 10000.0) -> Tensor:
    """Each pair of ``x`` ``[B, L, N, D]`` multiplied by its 2 x 2 rotation matrix, one at a time, in Python floats."""
    out = torch.zeros_like(x, dtype=torch.float64)
    size = x.shape[-1]
    for b, t, n, i in np.ndindex(*x.shape[:-1], size // 2):
        angle = int(positions[b, t]) * theta ** (-2 * i / size)
        first, second = x[b, t, n, 2 * i].item(), x[b, t, n, 2 * i + 1].item()
        out[b, t, n, 2 * i] = first * math.cos(angle) - second * math.sin(angle)
        out[b, t, n, 2 * i + 1] = second * math.cos(angle) + first * math.sin(angle)
    return out


@pytest.mark.parametrize("dim", [2, 6, 64])
@pytest.mark.parametrize("theta", [10000.0, 500.0])
def test_frequencies(dim: int, theta: float) -> None:
    wanted = [theta ** (-2 * i / dim) for i in range(dim // 2)]
    assert rotary_frequencies(dim, theta).tolist() == pytest.approx(wanted, rel=1e-14)


@pytest.mark.parametrize("dim", [1, 7])
def test_odd_size_is_refused(dim: int) -> None:
    with pytest.raises(ValueError, match=f"dim must be even.*{dim}"):
        rotary_frequencies(dim)


@pytest.mark.parametrize("position", [0, 1, 511, 3000, 524_287, 2**31 - 1])
@pytest.mark.parametrize("integer", [torch.int32, torch.int64])
def test_angles_are_exact_at_any_position(position: int, integer: torch.dtype) -> None:
    cos, sin = rotary_cos_sin(torch.tensor([[position]], dtype=integer), 8)
    angles = [position * 10000.0 ** (-2 * i / 8) for i in range(4)]
    # The argument of the cosine is rounded to float64 on both sides.
    tolerance = 1e-15 * max(1, position)
    assert cos.flatten().tolist() == pytest.approx([math.cos(a) for a in angles], abs=tolerance)
    assert sin.flatten().tolist() == pytest.approx([math.sin(a) for a in angles], abs=tolerance)


def test_given_frequencies_take_the_place_of_theta() -> None:
    positions = torch.arange(5)[None]
    frequencies = torch.tensor([0.5, 0.25])
    cos, sin = rotary_cos_sin(positions, 4, frequencies=frequencies)
    assert cos.dtype == torch.float32
    torch.testing.assert_close(cos, torch.cos(positions[..., None] * frequencies))
    torch.testing.assert_close(sin, torch.sin(positions[..., None] * frequencies))


@pytest.mark.parametrize("shape", [(1, 1, 1, 2), (2, 5, 3, 6), (3, 17, 1, 8)])
@pytest.mark.parametrize("shared_positions", [True, False])
def test_rotation_is_that_of_each_pair(shape: tuple[int, ...], shared_positions: bool) -> None:
    x = torch.randn(shape, dtype=torch.float64)
    positions = torch.randint(0, 2000, (1 if shared_positions else shape[0], shape[1]))
    out = apply_rotary(x, *rotary_cos_sin(positions, shape[-1]))
    wanted = rotate_by_brute_force(x, positions.expand(shape[0], -1))
    torch.testing.assert_close(out, wanted, atol=1e-12, rtol=0)


def test_empty_sequence() -> None:
    assert apply_rotary(torch.zeros(2, 0, 3, 4), *rotary_cos_sin(torch.zeros(2, 0, dtype=torch.long), 4)).shape == (
        2, 0, 3, 4,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_type_is_kept_and_rounded_once(dtype: torch.dtype) -> None:
    x = torch.randn(2, 9, 3, 8).to(dtype)
    cos_sin = rotary_cos_sin(torch.arange(9)[None] + 1500, 8)
    exact = apply_rotary(x.double(), *cos_sin)
    out = apply_rotary(x, *cos_sin)
    assert out.dtype == dtype
    # Half a unit in the last place is what a single rounding costs.
    torch.testing.assert_close(
        out.double(), exact, atol=1e-6 if dtype == torch.float32 else 1e-7, rtol=torch.finfo(dtype).eps
    )


def test_float16_at_its_largest_value() -> None:
    x = torch.full((1, 3, 1, 4), 40_000.0, dtype=torch.float16)
    out = apply_rotary(x, *rotary_cos_sin(torch.arange(3)[None], 4))
    assert out.isfinite().all()


def test_inner_products_depend_on_the_distance_alone() -> None:
    query, key = torch.randn(2, 1, 1, 1, 16, dtype=torch.float64)

    def score(i: int, j: int) -> float:
        rotated = (apply_rotary(x, *rotary_cos_sin(torch.tensor([[p]]), 16)) for x, p in ((query, i), (key, j)))
        return float(torch.mul(*rotated).sum())

    for shift in (1, 100, 10_000):
        assert score(7 + shift, 3 + shift) == pytest.approx(score(7, 3), abs=1e-11)


def test_gradient() -> None:
    cos_sin = rotary_cos_sin(torch.tensor([[0, 3, 1000]]), 6)
    x = torch.randn(2, 3, 2, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: apply_rotary(x, *cos_sin), x)


def test_strided_input() -> None:
    cos_sin = rotary_cos_sin(torch.arange(5)[None], 4)
    x = torch.randn(2, 3, 5, 8)
    views = (
        *(x.transpose(1, 2)[..., cut] for cut in (slice(4), slice(3, 7), slice(None, None, 2))),
        x.flatten()[1 : 1 + 2 * 5 * 3 * 4].view(2, 5, 3, 4),
    )
    for view in views:
        torch.testing.assert_close(apply_rotary(view, *cos_sin), apply_rotary(view.contiguous(), *cos_sin))


def test_compiled_form_equals_the_eager_one() -> None:
    # The trace holds the real form, which only compilers see.
    compiled = torch.compile(apply_rotary, backend="eager", fullgraph=True, dynamic=True)
    cos_sin = rotary_cos_sin(torch.arange(7)[None], 6)
    x = torch.randn(2, 7, 3, 6, dtype=torch.float64)
    torch.testing.assert_close(compiled(x, *cos_sin), apply_rotary(x, *cos_sin), atol=1e-14, rtol=0)


@pytest.mark.parametrize("name", ["rotary_4d_q", "rotary_4d_k", "rotary_3d_q", "rotary_3d_k", "rotary_4d_q_int_ids"])
def test_original_layer(golden: Path, name: str) -> None:
    io = np.load(golden / "layers" / "io.npz")
    source, ids = name.removesuffix("_int_ids"), name.endswith("_int_ids")
    x = torch.from_numpy(io[source])
    wanted = io[f"{source}_out_int_ids" if ids else f"{source}_out"]
    positions = torch.from_numpy(io["position_ids_int"]) if ids else torch.arange(x.shape[1])[None]
    single = x.dim() == 3
    for dtype, tolerance in ((torch.float64, 1e-5), (torch.float32, 2e-5)):
        value = (x[:, :, None] if single else x).to(dtype)
        out = apply_rotary(value, *rotary_cos_sin(positions, x.shape[-1]))
        np.testing.assert_allclose((out[:, :, 0] if single else out).numpy(), wanted, atol=tolerance, rtol=0)
