"""Matrices of distances against their entries one by one."""

import pytest
import torch

from hf_ext.ops.toeplitz import toeplitz_matrix


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 2), (5, 5), (1, 4), (4, 1), (3, 5)])
@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_entries_and_gradients(rows: int, columns: int, graph: bool, batch: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(*batch, rows + columns - 1, generator=generator, dtype=torch.float64, requires_grad=True)
    wanted = torch.stack(
        [torch.stack([values[..., j - i + rows - 1] for j in range(columns)], dim=-1) for i in range(rows)],
        dim=-2,
    )
    torch._dynamo.reset()
    make = torch.compile(toeplitz_matrix, backend="eager", fullgraph=True) if graph else toeplitz_matrix
    found = make(values, rows)
    assert torch.equal(found, wanted)
    weights = torch.arange(rows * columns, dtype=torch.float64).view(rows, columns) + 1
    ours, theirs = (torch.autograd.grad((matrix * weights).sum(), values)[0] for matrix in (found, wanted))
    torch.testing.assert_close(ours, theirs)
