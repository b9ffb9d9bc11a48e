"""FNet's transform by the fast algorithm and by matrices against the sums written out, in all precisions."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from hf_ext.ops.fourier import fourier_matrices, fourier_mix, fourier_mix_by_matrices, has_fft, rows_by_length

# Odd and even in both directions, and one of each.
SIZES = [(1, 1), (1, 6), (2, 2), (5, 1), (7, 4), (8, 5), (9, 12)]


def written_out(x: Tensor) -> Tensor:
    """Sums over all pairs of places, of one text ``[L, H]``."""
    length, size = x.shape
    out = torch.zeros_like(x)
    for k in range(length):
        for h in range(size):
            for j in range(length):
                for i in range(size):
                    out[k, h] += x[j, i] * math.cos(2 * math.pi * (j * k / length + i * h / size))
    return out


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def by_matrices(x: Tensor, lengths: list[int] | None = None) -> Tensor:
    rows, columns, size = x.shape
    dtype = torch.promote_types(x.dtype, torch.float32)
    tokens = fourier_matrices(columns, torch.tensor(lengths or [columns] * rows), dtype)
    return fourier_mix_by_matrices(x, tokens, fourier_matrices(size, torch.tensor([size]), dtype))


def real_of(lengths: list[int], columns: int) -> Tensor:
    return torch.arange(columns) < torch.tensor(lengths)[:, None]


@pytest.mark.parametrize(("length", "size"), SIZES)
def test_whole_rows(length: int, size: int) -> None:
    x = random(2, length, size)
    wanted = torch.stack([written_out(row) for row in x])
    for found in (fourier_mix(x), by_matrices(x), torch.fft.fft2(x).real):
        torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)


@pytest.mark.parametrize("lengths", [[7, 7, 7, 7], [7, 1, 4, 1], [0, 3, 0, 7], [0, 0, 0, 0]])
def test_rows_of_their_own_length(lengths: list[int]) -> None:
    x = random(4, 7, 6)
    found = fourier_mix(x, rows_by_length(real_of(lengths, 7)))
    torch.testing.assert_close(found, by_matrices(x, lengths), atol=1e-12, rtol=0)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(found[row, :length], written_out(x[row, :length]), atol=1e-12, rtol=0)
        assert not found[row, length:].any()


def test_gradients() -> None:
    """First and second ones, against differences and against those of the products."""
    lengths, x = [5, 1, 3], random(3, 5, 4).requires_grad_()
    groups = rows_by_length(real_of(lengths, 5))
    assert torch.autograd.gradcheck(lambda x: fourier_mix(x, groups), x)
    assert torch.autograd.gradgradcheck(lambda x: fourier_mix(x, groups).square(), x)
    gradient = torch.autograd.grad(fourier_mix(x, groups).pow(3).sum(), x)
    torch.testing.assert_close(gradient, torch.autograd.grad(by_matrices(x, lengths).pow(3).sum(), x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_precision(dtype: torch.dtype) -> None:
    """Half precision is computed in float32, under autocast too; angles do not lose digits at long texts."""
    x = random(1, 513, 96).to(dtype)
    wanted = fourier_mix(x.double())
    close = {"atol": 1e-6 * wanted.abs().max().item(), "rtol": 0}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for found in (fourier_mix(x), by_matrices(x)):
            assert found.dtype == torch.float32
            torch.testing.assert_close(found.double(), wanted, **close)


@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64, torch.float8_e4m3fn])
def test_types_without_a_transform(dtype: torch.dtype) -> None:
    x = torch.zeros(1, 3, 2).to(dtype)
    with pytest.raises(TypeError, match=rf"x must be of one of the types .*, got {dtype}"):
        fourier_mix(x)
    with pytest.raises(TypeError, match=rf"x must be of one of the types .*, got {dtype}"):
        fourier_mix_by_matrices(x, (x, x), (x, x))


def test_devices() -> None:
    assert has_fft(torch.device("cpu"))
    assert has_fft(torch.device("cuda"))
    assert not has_fft(torch.device("mps"))


def test_redundancy() -> None:
    """Half of the numbers say all: out[k, h] = out[L - k, H - h]."""
    out = fourier_mix(random(1, 6, 5))[0].numpy()
    rows, columns = np.meshgrid(np.arange(6), np.arange(5), indexing="ij")
    np.testing.assert_allclose(out, out[-rows % 6, -columns % 5], atol=1e-12)
