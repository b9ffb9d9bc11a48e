"""Rotary positions of patches against golden data, brute force, DINOv3 of Transformers and the rules they stand for."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import DINOv3ViTConfig
from transformers.models.dinov3_vit.modeling_dinov3_vit import DINOv3ViTRopePositionEmbedding, apply_rotary_pos_emb

from hf_ext.ops.rotary import apply_rotary, rotary_cos_sin
from hf_ext.ops.rotary_2d import (
    apply_rotary_halves,
    mixed_frequencies,
    patch_coordinates,
    rotary_cos_sin_2d,
    rotary_cos_sin_mixed,
)

KINDS: dict[str, dict[str, Any]] = {
    "article": {},
    "rope_vit_axial": {"theta": 100.0, "first_axis": "column"},
    "eva": {"coordinates": "scaled", "grid": (16, 16)},
    "dinov3": {"theta": 100.0, "coordinates": "centred"},
}


@pytest.fixture(scope="module")
def io(golden: Path) -> dict[str, Tensor]:
    """The golden data as tensors."""
    return {name: torch.from_numpy(value) for name, value in np.load(golden / "rope_2d" / "io.npz").items()}


def turned(x: Tensor, cos_sin: tuple[Tensor, Tensor], apply: Any) -> Tensor:
    """``[B, N, L, D]``, in which the golden data have heads, rotated."""
    return apply(x.transpose(1, 2), *cos_sin).transpose(1, 2)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-5)])
@pytest.mark.parametrize("kind", [*KINDS, "rope_vit_mixed"])
def test_golden(io: dict[str, Tensor], kind: str, dtype: torch.dtype, tolerance: float) -> None:
    if kind == "rope_vit_mixed":
        cos_sin = rotary_cos_sin_mixed(3, 4, io[f"{kind}.frequencies"].to(dtype), prefix=1)
    else:
        cos_sin = rotary_cos_sin_2d(3, 4, 8, prefix=1, **KINDS[kind])
        for found, function in zip(cos_sin, (torch.cos, torch.sin)):
            torch.testing.assert_close(found[0, 1:], function(io[f"{kind}.angles"]), atol=1e-12, rtol=0)
    apply = apply_rotary_halves if kind == "dinov3" else apply_rotary
    query, key = (turned(io[name].to(dtype), cos_sin, apply) for name in ("query", "key"))
    assert query.dtype == dtype
    for found, name in ((query, "query"), (query @ key.transpose(-1, -2), "scores")):
        torch.testing.assert_close(found.double(), io[f"{kind}.{name}"], atol=tolerance, rtol=0)
    # What has no place is not turned.
    assert torch.equal(query[:, :, 0], io["query"][:, :, 0].to(dtype))


def test_golden_coordinates(io: dict[str, Tensor]) -> None:
    rows, columns = patch_coordinates(3, 4)
    assert torch.equal(rows, io["row"])
    assert torch.equal(columns, io["column"])


def rotate_by_brute_force(x: Tensor, height: int, width: int, theta: float, column_first: bool) -> Tensor:
    """``x`` ``[B, P, N, D]``, pair by pair in Python floats."""
    out = torch.zeros_like(x)
    quarter = x.shape[-1] // 4
    for b, row, column, n, pair in np.ndindex(x.shape[0], height, width, x.shape[2], 2 * quarter):
        in_first = pair < quarter
        place = column if in_first == column_first else row
        angle = place * theta ** (-(pair % quarter) / quarter)
        a, b_ = (x[b, row * width + column, n, 2 * pair + k].item() for k in (0, 1))
        out[b, row * width + column, n, 2 * pair] = a * math.cos(angle) - b_ * math.sin(angle)
        out[b, row * width + column, n, 2 * pair + 1] = b_ * math.cos(angle) + a * math.sin(angle)
    return out


@pytest.mark.parametrize(("height", "width", "size"), [(1, 1, 4), (3, 5, 8), (5, 2, 12)])
@pytest.mark.parametrize("first_axis", ["row", "column"])
def test_rotation_is_that_of_each_pair(height: int, width: int, size: int, first_axis: str) -> None:
    x = torch.randn(2, height * width, 3, size, dtype=torch.float64)
    found = apply_rotary(x, *rotary_cos_sin_2d(height, width, size, 50.0, first_axis))
    wanted = rotate_by_brute_force(x, height, width, 50.0, first_axis == "column")
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", ["axial", "mixed"])
def test_inner_products_depend_on_the_distance_alone(kind: str) -> None:
    """Of two patches, and of both moved by the same rows and columns."""
    query, key = torch.randn(2, 1, 1, 2, 8, dtype=torch.float64)
    frequencies = torch.randn(2, 2, 4, dtype=torch.float64)

    def score(one: tuple[int, int], other: tuple[int, int]) -> Tensor:
        made = rotary_cos_sin_2d(9, 11, 8) if kind == "axial" else rotary_cos_sin_mixed(9, 11, frequencies)
        places = [row * 11 + column for row, column in (one, other)]
        rotated = (apply_rotary(x, *(y[:, [p]] for y in made)) for x, p in zip((query, key), places))
        return torch.mul(*rotated).sum(-1)

    wanted = score((1, 0), (3, 4))
    for rows, columns in ((5, 0), (0, 6), (4, 2)):
        moved = [(row + rows, column + columns) for row, column in ((1, 0), (3, 4))]
        torch.testing.assert_close(score(*moved), wanted, atol=1e-12, rtol=0)
    assert not torch.allclose(score((1, 0), (3, 5)), wanted)


def test_row_and_column_can_be_told_again() -> None:
    """Which of the sum of both alone, x + y, they could not."""
    cos, sin = rotary_cos_sin_2d(7, 5, 16)
    places = torch.cat((cos[0], sin[0]), dim=-1)
    assert (torch.cdist(places, places) + torch.eye(35) > 0.1).all()


def test_a_single_row_is_a_text() -> None:
    """The half that columns turn is rotated as a text of that width with half the size; the other stays."""
    x = torch.randn(2, 9, 3, 8, dtype=torch.float64)
    found = apply_rotary(x, *rotary_cos_sin_2d(1, 9, 8))
    text = apply_rotary(x[..., 4:], *rotary_cos_sin(torch.arange(9)[None], 4))
    torch.testing.assert_close(found, torch.cat((x[..., :4], text), dim=-1), atol=1e-14, rtol=0)


def test_a_mixed_rotation_without_direction_is_axial() -> None:
    frequencies = mixed_frequencies(3, 8, 100.0, torch.zeros(3, dtype=torch.float64))
    mixed = rotary_cos_sin_mixed(3, 4, frequencies, prefix=2)
    axial = rotary_cos_sin_2d(3, 4, 8, 100.0, "column", prefix=2)
    for found, wanted in zip(mixed, axial):
        torch.testing.assert_close(found, wanted[:, :, None].expand_as(found), atol=1e-14, rtol=0)


def test_mixed_frequencies_of_drawn_directions() -> None:
    """Two directions at right angles in each head, and another one in each head."""
    torch.manual_seed(0)
    frequencies = mixed_frequencies(5, 12)
    assert frequencies.dtype == torch.float32
    magnitudes = 10.0 ** (-torch.arange(3) / 3)
    torch.testing.assert_close(frequencies.norm(dim=0), magnitudes.repeat(2).expand(5, 6))
    along, across = frequencies.unflatten(-1, (2, 3)).unbind(2)
    torch.testing.assert_close((along * across).sum(0), torch.zeros(5, 3), atol=1e-6, rtol=0)
    angles = torch.atan2(along[1, :, 0], along[0, :, 0])
    assert len(angles.unique()) == 5


@pytest.mark.parametrize(("height", "width"), [(3, 4), (6, 2), (1, 1)])
def test_dinov3_of_transformers(height: int, width: int) -> None:
    """Its own angles and rotation, on images that are not square."""
    config = DINOv3ViTConfig(hidden_size=32, num_attention_heads=2, patch_size=4, image_size=16)
    theirs = DINOv3ViTRopePositionEmbedding(config).eval()
    cos, sin = theirs(torch.zeros(1, 3, 4 * height, 4 * width))
    query, key = torch.randn(2, 2, 2, 5 + height * width, 16)
    wanted = apply_rotary_pos_emb(query, key, cos, sin)
    cos_sin = rotary_cos_sin_2d(height, width, 16, 100.0, coordinates="centred", prefix=5)
    for x, own in zip((query, key), wanted):
        torch.testing.assert_close(turned(x, cos_sin, apply_rotary_halves), own, atol=5e-6, rtol=0)


def test_scaled_coordinates_of_the_grid_of_training_are_whole_numbers() -> None:
    for found, wanted in zip(patch_coordinates(6, 4, "scaled", (6, 4)), patch_coordinates(6, 4)):
        torch.testing.assert_close(found, wanted, atol=1e-14, rtol=0)


def test_gradient_reaches_frequencies() -> None:
    frequencies = torch.randn(2, 2, 2, dtype=torch.float64, requires_grad=True)
    x = torch.randn(1, 7, 2, 4, dtype=torch.float64, requires_grad=True)
    run = lambda x, f: apply_rotary(x, *rotary_cos_sin_mixed(2, 3, f, prefix=1))  # noqa: E731
    assert torch.autograd.gradcheck(run, (x, frequencies))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_angles_are_not_made_in_half_precision(dtype: torch.dtype) -> None:
    frequencies = torch.rand(2, 2, 4).to(dtype)
    found = rotary_cos_sin_mixed(30, 30, frequencies)
    for own, wanted in zip(found, rotary_cos_sin_mixed(30, 30, frequencies.double())):
        assert own.dtype == torch.float32
        torch.testing.assert_close(own.double(), wanted, atol=1e-5, rtol=0)


def test_compiled_form_equals_the_eager_one() -> None:
    compiled = torch.compile(apply_rotary, backend="eager", fullgraph=True, dynamic=True)
    cos_sin = rotary_cos_sin_mixed(2, 3, torch.randn(2, 3, 3, dtype=torch.float64), prefix=1)
    x = torch.randn(2, 7, 3, 6, dtype=torch.float64)
    torch.testing.assert_close(compiled(x, *cos_sin), apply_rotary(x, *cos_sin), atol=1e-14, rtol=0)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: rotary_cos_sin_2d(3, 4, 6), "dim must be a multiple of 4 .*got 6"),
        (lambda: mixed_frequencies(2, 10), "dim must be a multiple of 4 .*got 10"),
        (lambda: rotary_cos_sin_2d(0, 4, 8), "height and width must be at least 1 patch, got 0 and 4"),
        (lambda: rotary_cos_sin_2d(3, 4, 8, first_axis="x"), "first_axis must be one of .*got 'x'"),
        (lambda: patch_coordinates(3, 4, "polar"), "coordinates must be one of .*got 'polar'"),
        (lambda: patch_coordinates(3, 4, "scaled"), 'grid goes with coordinates="scaled".*got None'),
        (lambda: patch_coordinates(3, 4, "grid", (3, 4)), r'grid goes with coordinates="scaled".*got \(3, 4\)'),
        (lambda: rotary_cos_sin_mixed(3, 4, torch.zeros(3, 4)), r"frequencies must have shape .*got \[3, 4\]"),
    ],
)
def test_what_cannot_be_rotated_is_refused(run: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run()
