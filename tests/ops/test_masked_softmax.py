"""The masked softmax against that of what is seen alone."""

import pytest
import torch

from hf_ext.ops.masked_softmax import masked_softmax


@pytest.mark.parametrize("dim", [-1, 1])
def test_values_and_gradients(dim: int) -> None:
    scores = torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    visible = torch.tensor([[True, False, True, True, False], [False] * 5])[:, None].expand(2, 5, 5)
    visible = visible if dim == -1 else visible.mT
    found = masked_softmax(scores, visible, dim)
    kept = scores[0].index_select(dim, torch.tensor([0, 2, 3])) if dim == -1 else scores[0, [0, 2, 3]]
    wanted = torch.zeros(5, 5, dtype=torch.float64)
    if dim == -1:
        wanted[:, [0, 2, 3]] = kept.softmax(-1)
    else:
        wanted[[0, 2, 3]] = kept.softmax(0)
    torch.testing.assert_close(found[0], wanted)
    assert not found[1].any()
    (gradient,) = torch.autograd.grad(found.square().sum(), scores)
    assert gradient.isfinite().all()
    assert not gradient[~visible].any()
    torch.testing.assert_close(masked_softmax(scores, None, dim), scores.softmax(dim))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    scores = torch.tensor([[-6e4, 6e4, 0.0]]).to(dtype)
    found = masked_softmax(scores, torch.tensor([[True, False, False]]))
    assert found.dtype == torch.float32
    assert found.tolist() == [[1, 0, 0]]
