"""Relative attention against the formula with an [L, L, D] tensor."""

import pytest
import torch
from torch import Tensor

from hf_ext.ops.relative_attention import relative_attention
from hf_ext.ops.sinusoidal import sinusoidal_table


def naive(query: Tensor, key: Tensor, value: Tensor, table: Tensor, mask: Tensor | None, scaling: float) -> Tensor:
    reach, cached = len(table) // 2, key.shape[2] - query.shape[2]
    out = []
    for i in range(query.shape[2]):
        rows = torch.stack([table[min(max(j - cached - i, -reach), reach) + reach] for j in range(key.shape[2])])
        scores = torch.einsum("bnd,bnsd->bns", query[:, :, i], key + rows) * scaling
        if mask is not None:
            scores = scores.masked_fill(~mask[:, :, i], -torch.inf)
        out.append(torch.einsum("bns,bnsd->bnd", scores.softmax(-1), value + rows))
    return torch.stack(out, dim=2)


def inputs(queries: int, keys: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(queries * 100 + keys)
    shapes = ((2, 3, queries, 8), (2, 3, keys, 8), (2, 3, keys, 8))
    return tuple(torch.randn(shape, generator=generator, dtype=dtype, requires_grad=True) for shape in shapes)


@pytest.mark.parametrize("masked", [None, "bool", "additive"])
@pytest.mark.parametrize("reach", [1, 2, 5])
@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (7, 7), (13, 13), (1, 9), (3, 8)])
def test_outputs_and_gradients(queries: int, keys: int, reach: int, masked: str | None) -> None:
    """Short and long beside the reach, with cached keys; under a mask each query sees itself at least."""
    tensors, table = inputs(queries, keys), sinusoidal_table(2 * reach + 1, 8, dtype=torch.float64)
    seen = None
    if masked:
        seen = torch.rand(2, 1, queries, keys, generator=torch.Generator().manual_seed(1)) < 0.5
        seen |= torch.arange(keys) == torch.arange(queries)[:, None] + keys - queries
    mask = seen
    if masked == "additive":
        assert seen is not None
        mask = torch.zeros(seen.shape, dtype=torch.float64).masked_fill(~seen, torch.finfo(torch.float64).min)
    out, weights = relative_attention(*tensors, table, mask, 0.3, first_query=keys - queries)
    wanted = naive(*tensors, table, seen, 0.3)
    torch.testing.assert_close(out, wanted, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, queries, dtype=torch.float64))
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = torch.autograd.grad((out * weight).sum(), tensors)
    expected = torch.autograd.grad((wanted * weight).sum(), tensors)
    torch.testing.assert_close(found, expected, atol=1e-11, rtol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_large_numbers_in_half_precision(dtype: torch.dtype) -> None:
    """Large scores of either sign neither overflow nor blur the key that wins."""
    query, key, value = (x.detach() for x in inputs(6, 6, dtype))
    table = sinusoidal_table(9, 8, dtype=dtype)
    out, weights = relative_attention(query * 50, key * 50, value, table, None, 1.0)
    assert out.isfinite().all()
    torch.testing.assert_close(weights.float().sum(-1), torch.ones(2, 3, 6), atol=1e-2, rtol=0)


def test_memory_does_not_grow_with_the_width() -> None:
    """No tensor on the way is larger than the scores: hooks see what autograd keeps."""
    sizes: list[int] = []

    def note(x: Tensor) -> Tensor:
        sizes.append(x.numel())
        return x

    query, key, value = inputs(200, 200)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        relative_attention(query, key, value, sinusoidal_table(129, 8, dtype=torch.float64))
    assert max(sizes) <= 2 * 3 * 200 * 200
