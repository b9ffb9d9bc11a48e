"""Matrices of distances against their entries one by one."""

import pytest
import torch

from hf_ext.ops.toeplitz import toeplitz_matrix


@pytest.mark.parametrize("length", [1, 2, 4, 5])
def test_entries_and_gradients(length: int) -> None:
    table = torch.randn(9, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    wanted = torch.stack([torch.stack([table[j - i + 4] for j in range(length)]) for i in range(length)])
    found = toeplitz_matrix(table, length)
    assert torch.equal(found, wanted)
    weights = torch.arange(length**2, dtype=torch.float64).view(length, length) + 1
    ours, theirs = (torch.autograd.grad((matrix * weights).sum(), table)[0] for matrix in (found, wanted))
    torch.testing.assert_close(ours, theirs)
