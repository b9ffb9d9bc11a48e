"""Attention by other denominators against loops over queries and keys, and against an independent transcription."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hf_ext.ops.normalised_attention import (
    NORMALIZATIONS,
    flex_normalised_attention,
    normalised_attention,
)
from hf_ext.ops.normalised_attention.flex import ScoreMod


def by_loops(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    seen: Tensor,
    scaling: float,
    bias: Tensor | None,
    gain: Tensor | None,
    normalization: str,
) -> Tensor:
    rows, heads, queries, _ = query.shape
    out = torch.zeros(rows, heads, queries, value.shape[-1], dtype=query.dtype)
    for row in range(rows):
        for head in range(heads):
            for i in range(queries):
                keys = seen[row, 0, i].nonzero()[:, 0].tolist()
                raw = []
                for j in keys:
                    score = (query[row, head, i] @ key[row, head, j]) * scaling
                    raw.append((score if bias is None else score + bias[head, j - i + queries - 1]).exp())
                squares = sum((x * x for x in raw), torch.zeros(()))
                below = {"softmax": sum(raw, torch.zeros(())), "l2": squares.sqrt(), "none": torch.ones(())}
                for j, weight in zip(keys, raw):
                    factor = 1.0 if gain is None else gain[head, j - i + queries - 1]
                    out[row, head, i] = out[row, head, i] + weight / below[normalization] * factor * value[row, head, j]
    return out


def written_out(
    query: Tensor, key: Tensor, value: Tensor, change: ScoreMod, mask: Any, scaling: float
) -> tuple[Tensor, Tensor]:
    """What flex attention computes, with gradients, which that has not on a CPU; the mask is a bool tensor here."""
    scores = query @ key.mT * scaling
    heads, queries, keys = (torch.arange(n) for n in scores.shape[1:])
    changed = change(scores, torch.zeros(()), heads[:, None, None], queries[:, None], keys)
    changed = changed.masked_fill(~mask.seen, -math.inf)
    return torch.nan_to_num(changed.softmax(-1)) @ value, changed.logsumexp(-1)


class Seen:
    """A mask in a form that is no tensor."""

    def __init__(self, seen: Tensor):
        self.seen = seen


def inputs(queries: int, keys: int, biased: bool, gained: bool) -> tuple[list[Tensor], Tensor | None, Tensor | None]:
    generator = torch.Generator().manual_seed(queries * 100 + keys)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()

    tensors = [draw(2, 3, queries, 4), draw(2, 3, keys, 4), draw(2, 3, keys, 5)]
    bias, gain = draw(3, queries + keys - 1), draw(3, queries + keys - 1)
    with torch.no_grad():
        gain[0, 0] = 0
        gain[1] = gain[1].abs() + 0.5
    return tensors, bias if biased else None, gain if gained else None


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize(("biased", "gained"), [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (5, 5), (1, 6), (3, 7)])
def test_outputs_and_gradients(queries: int, keys: int, biased: bool, gained: bool, normalization: str) -> None:
    """Both forms; under the mask each query sees the first key at least. Some gains are 0, and some below."""
    tensors, bias, gain = inputs(queries, keys, biased, gained)
    seen = torch.rand(2, 1, queries, keys, generator=torch.Generator().manual_seed(1)) < 0.6
    seen[..., 0] = True
    additive = torch.zeros(seen.shape, dtype=torch.float64).masked_fill(~seen, torch.finfo(torch.float64).min)
    wanted = by_loops(*tensors, seen, 0.5, bias, gain, normalization)
    options: dict[str, Any] = {"scaling": 0.5, "bias": bias, "gain": gain, "normalization": normalization}
    found = {
        "bool": normalised_attention(*tensors, seen, **options)[0],
        "additive": normalised_attention(*tensors, additive, **options)[0],
        "flex": flex_normalised_attention(*tensors, Seen(seen), **options, kernel=written_out),
    }
    leaves = [x for x in (*tensors, bias, gain) if x is not None]
    weight = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    expected = torch.autograd.grad((wanted * weight).sum(), leaves, allow_unused=True, materialize_grads=True)
    for name, out in found.items():
        torch.testing.assert_close(out, wanted, atol=1e-12, rtol=1e-12, msg=lambda m, n=name: f"{n}: {m}")
        slopes = torch.autograd.grad((out * weight).sum(), leaves, allow_unused=True, materialize_grads=True)
        torch.testing.assert_close(slopes, expected, atol=1e-11, rtol=1e-11, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("gained", [False, True])
def test_by_flex_attention_itself(gained: bool, normalization: str) -> None:
    from torch.nn.attention.flex_attention import create_block_mask

    tensors, bias, gain = inputs(6, 6, True, gained)
    lengths = torch.tensor([6, 0])
    mask = create_block_mask(lambda b, h, q, k: (k <= q) & (k < lengths[b]) & (q > 0), 2, None, 6, 6, device="cpu")
    seen = torch.ones(6, 6, dtype=torch.bool).tril() & (torch.arange(6) < lengths[:, None, None, None])
    seen[:, :, 0] = False
    options: dict[str, Any] = {"scaling": 0.5, "bias": bias, "gain": gain, "normalization": normalization}
    tensors = [x.detach() for x in tensors]
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        found = flex_normalised_attention(*tensors, mask, **options)
        wanted, _ = normalised_attention(*tensors, seen, **options)
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=1e-12)
    assert not found[1].any()
    assert found[0, :, 1:].all()


@pytest.fixture(scope="module")
def io(golden: Path) -> dict[str, Tensor]:
    with np.load(golden / "urpe" / "io.npz") as file:
        return {name: torch.from_numpy(value) for name, value in file.items()}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("kind", ["plain", "urpe", "l2"])
@pytest.mark.parametrize("direction", ["bidirectional", "causal"])
def test_the_reference(direction: str, kind: str, dtype: torch.dtype, io: dict[str, Tensor]) -> None:
    query, key, value = (io[name].to(dtype) for name in ("query", "key", "value"))
    length, top = query.shape[2], 10
    seen = io["attention_mask"].bool()[:, None, None]
    if direction == "causal":
        seen = seen & torch.ones(length, length, dtype=torch.bool).tril()
    rows = slice(top - length, top + length - 1)
    bias, gain = (io[f"{name}_table"][rows].T.to(dtype) for name in ("bias", "gain"))
    found, weights = normalised_attention(
        query,
        key,
        value,
        seen,
        query.shape[-1] ** -0.5,
        bias=bias,
        gain=gain if kind == "urpe" else None,
        normalization="l2" if kind == "l2" else "softmax",
    )
    tolerance = 1e-9 if dtype == torch.float64 else 2e-5
    torch.testing.assert_close(found, io[f"{direction}.{kind}"].to(dtype), atol=tolerance, rtol=0)
    assert not weights[~seen.expand_as(weights)].any()
    if kind == "plain":
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
    if kind == "l2":
        torch.testing.assert_close(weights.square().sum(-1), torch.ones_like(weights[..., 0]))
        assert (weights.sum(-1) >= 1 - 1e-6).all()
        assert (weights.sum(-1) <= seen.sum(-1) ** 0.5 + 1e-6).all()


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_a_query_that_sees_nothing(normalization: str) -> None:
    tensors, bias, gain = inputs(4, 4, True, True)
    assert bias is not None
    assert gain is not None
    seen = torch.ones(4, 4, dtype=torch.bool).tril(-1)
    out, _ = normalised_attention(*tensors, seen, bias=bias, gain=gain, normalization=normalization)
    flex = flex_normalised_attention(*tensors, Seen(seen), 1.0, bias, gain, normalization, written_out)
    for found in (out, flex):
        assert not found[:, :, 0].any()
    slopes = torch.autograd.grad(out.square().sum(), [*tensors, bias, gain])
    assert all(slope.isfinite().all() for slope in slopes)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("normalization", ["softmax", "l2"])
def test_half_precision(normalization: str, dtype: torch.dtype) -> None:
    """Gains beyond the range of the type; large scores of either sign."""
    query, key, value = (x.detach().to(dtype) for x in inputs(6, 6, False, False)[0])
    gain = torch.full((3, 11), 1e5)
    out, weights = normalised_attention(query, key, value * 1e-3, None, 0.5, gain=gain, normalization=normalization)
    wide = (x.double() for x in (query, key, value * 1e-3))
    exact, _ = normalised_attention(*wide, None, 0.5, gain=gain, normalization=normalization)
    assert (out.dtype, weights.dtype) == (dtype, dtype)
    torch.testing.assert_close(out.double(), exact, rtol=0.05, atol=5.0)
    out, _ = normalised_attention(query * 50, key * 50, value, gain=gain / 1e5, normalization=normalization)
    assert out.isfinite().all()


def test_dropout_comes_after_the_gain() -> None:
    tensors, _, gain = inputs(5, 5, False, True)
    whole, dropped = (normalised_attention(*tensors, dropout=p, gain=gain)[1] for p in (0.0, 0.5))
    kept = dropped != 0
    assert 0 < kept.sum() < kept.numel()
    torch.testing.assert_close(dropped[kept], 2 * whole[kept])


def test_refused() -> None:
    tensors, _, _ = inputs(3, 3, False, False)
    for function in (normalised_attention, flex_normalised_attention):
        with pytest.raises(ValueError, match=r"normalization must be one of \(.*\), got 'l1'"):
            function(*tensors, normalization="l1")
    with pytest.raises(ValueError, match=r"attention_mask must have shape \[B, L\] .* got a tensor of shape \[3, 3\]"):
        flex_normalised_attention(*tensors, torch.ones(3, 3))
