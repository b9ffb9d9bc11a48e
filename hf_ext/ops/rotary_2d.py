"""Rotary position embedding of the patches of an image (kexue.fm/archives/8397; arXiv 2403.13298).

Shapes: P patches, row by row, behind T tokens that have no place, such as [CLS]; N heads, D size of the vectors.
"""

from math import pi

import torch
from torch import Tensor

from hf_ext.ops.precision import at_least_float32
from hf_ext.ops.rotary import rotary_frequencies

COORDINATES = ("grid", "scaled", "centred")
AXES = ("row", "column")


def patch_coordinates(
    height: int,
    width: int,
    coordinates: str = "grid",
    grid: tuple[int, int] | None = None,
    device: torch.device | str | None = None,
) -> tuple[Tensor, Tensor]:
    """Rows and columns of the patches of an image.

    Args:
        height: rows of patches.
        width: patches of a row.
        coordinates: ``"grid"``: whole numbers from 0, which go on in a larger image; ``"scaled"``: those numbers,
            stretched or shrunk to the ``grid`` of pre-training (EVA-02); ``"centred"``: the centres of the patches from
            -1 to 1 (DINOv3).
        grid: rows and columns of pre-training.
        device: where the results lie.

    Returns:
        Rows and columns, each ``[P]`` in float64 (float32 on Apple's MPS).

    Raises:
        ValueError: for an image without patches, other coordinates, or a ``grid`` that is missing or has no effect.
    """
    if min(height, width) < 1:
        raise ValueError(f"height and width must be at least 1 patch, got {height} and {width}")
    if coordinates not in COORDINATES:
        raise ValueError(f"coordinates must be one of {COORDINATES}, got {coordinates!r}")
    if (grid is None) == (coordinates == "scaled"):
        raise ValueError(f'grid goes with coordinates="scaled", and only with those, got {grid} with {coordinates!r}')
    device = torch.device(device) if device is not None else torch.get_default_device()
    dtype = torch.float32 if device.type == "mps" else torch.float64
    axes = []
    for number, side in enumerate((height, width)):
        axis = torch.arange(side, device=device, dtype=dtype)
        if coordinates == "scaled":
            assert grid is not None
            axis = axis / side * grid[number]
        elif coordinates == "centred":
            axis = (axis + 0.5) / side * 2 - 1
        axes.append(axis)
    rows, columns = axes
    return rows.repeat_interleave(width), columns.repeat(height)


def rotary_cos_sin_2d(
    height: int,
    width: int,
    dim: int,
    theta: float = 10000.0,
    first_axis: str = "row",
    coordinates: str = "grid",
    grid: tuple[int, int] | None = None,
    prefix: int = 0,
    device: torch.device | str | None = None,
) -> tuple[Tensor, Tensor]:
    """Cosines and sines by which one half of a head turns with a patch's row, and the other with its column.

    The article's are the defaults. The others: rope-vit's are ``theta=100, first_axis="column"``; EVA-02's
    ``coordinates="scaled"``; DINOv3's ``theta=100, coordinates="centred"``, applied by `apply_rotary_halves`.

    Args:
        height: rows of patches.
        width: patches of a row.
        dim: size D of the vectors to rotate, a multiple of 4.
        theta: base of the frequencies ``theta^(-4i/D)``, i < D/4, which both halves have.
        first_axis: which coordinate turns the first half, ``"row"`` or ``"column"``.
        coordinates: see `patch_coordinates`; ``"centred"`` ones are turned by whole circles, 2 pi times the frequency.
        grid: rows and columns of pre-training, of ``coordinates="scaled"``.
        prefix: number T of tokens in front that are not turned.
        device: where the results lie.

    Returns:
        cos and sin, each ``[1, T + P, D/2]`` in float64 (float32 on Apple's MPS), for `apply_rotary`.

    Raises:
        ValueError: if an argument is none of these.
    """
    _check_size(dim)
    if first_axis not in AXES:
        raise ValueError(f"first_axis must be one of {AXES}, got {first_axis!r}")
    axes = patch_coordinates(height, width, coordinates, grid, device)
    first, second = axes if first_axis == "row" else reversed(axes)
    frequencies = rotary_frequencies(dim // 2, theta, first.device)
    if coordinates == "centred":
        frequencies = 2 * pi * frequencies
    angles = torch.cat((first[:, None] * frequencies, second[:, None] * frequencies), dim=-1)
    return _cos_sin(angles, prefix)


def rotary_cos_sin_mixed(
    height: int,
    width: int,
    frequencies: Tensor,
    coordinates: str = "grid",
    grid: tuple[int, int] | None = None,
    prefix: int = 0,
) -> tuple[Tensor, Tensor]:
    """Cosines and sines of rope-vit's mixed rotation, in which each pair turns in a direction of its own.

    Args:
        height: rows of patches.
        width: patches of a row.
        frequencies: ``[2, N, D/2]``: angle of each pair of each head for one step to the next column, then to the next
            row. Gradients reach them.
        coordinates: see `patch_coordinates`.
        grid: rows and columns of pre-training, of ``coordinates="scaled"``.
        prefix: number T of tokens in front that are not turned.

    Returns:
        cos and sin, each ``[1, T + P, N, D/2]`` in float32, or in float64 where the frequencies are, for
        `apply_rotary`.

    Raises:
        ValueError: if an argument is none of these.
    """
    if frequencies.dim() != 3 or len(frequencies) != 2:
        raise ValueError(f"frequencies must have shape [2, N, D/2], got {list(frequencies.shape)}")
    of_column, of_row = at_least_float32(frequencies)
    rows, columns = (
        axis.to(of_row.dtype)[:, None, None]
        for axis in patch_coordinates(height, width, coordinates, grid, frequencies.device)
    )
    return _cos_sin(columns * of_column + rows * of_row, prefix)


def mixed_frequencies(
    heads: int,
    dim: int,
    theta: float = 10.0,
    directions: Tensor | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """What rope-vit's mixed rotation begins with: each head turns with two directions at right angles.

    Args:
        heads: number N.
        dim: size D of a head, a multiple of 4.
        theta: base of the frequencies ``theta^(-4i/D)``, i < D/4.
        directions: angle a of each head, ``[N]``: its first D/4 pairs turn along ``(cos a, sin a)``, the last along
            ``(-sin a, cos a)``; None: drawn. With 0 this is the axial rotation whose first half is of columns.
        device: where the result lies.

    Returns:
        ``[2, N, D/2]`` in float32, or in the type of the directions.

    Raises:
        ValueError: if ``dim`` is no multiple of 4.
    """
    _check_size(dim)
    if directions is None:
        directions = torch.rand(heads, device=device, dtype=torch.float32) * (2 * pi)
    magnitudes = rotary_frequencies(dim // 2, theta, directions.device).to(directions.dtype)
    cos, sin = (f(directions)[:, None] * magnitudes for f in (torch.cos, torch.sin))
    return torch.stack((torch.cat((cos, -sin), dim=-1), torch.cat((sin, cos), dim=-1)))


def apply_rotary_halves(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the pairs ``(x[i], x[i + D/2])`` of the last dimension, DINOv3's, in float32 or better.

    Args:
        x: ``[B, L, N, D]`` queries or keys.
        cos: ``[B or 1, L, D/2]``.
        sin: ``[B or 1, L, D/2]``.

    Returns:
        ``[B, L, N, D]`` in the type of ``x``.
    """
    a, b = at_least_float32(x).chunk(2, dim=-1)
    cos, sin = cos.unsqueeze(-2).type_as(a), sin.unsqueeze(-2).type_as(a)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).type_as(x)


def _check_size(dim: int) -> None:
    if dim % 4 or dim < 4:
        raise ValueError(f"dim must be a multiple of 4 to rotate pairs by rows and by columns, got {dim}")


def _cos_sin(angles: Tensor, prefix: int) -> tuple[Tensor, Tensor]:
    """Of angles ``[P, ...]``, behind those of tokens without a place, which are 0."""
    if prefix:
        angles = torch.cat((angles.new_zeros(prefix, *angles.shape[1:]), angles))
    return angles.cos()[None], angles.sin()[None]
