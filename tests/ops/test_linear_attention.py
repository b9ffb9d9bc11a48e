"""Linear attention against its definition written out, in float64: outputs, gradients, states, what may leak."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hf_ext.ops.linear_attention import (
    KERNELS,
    LinearAttentionState,
    extend_state,
    linear_attention,
    random_features,
)
from hf_ext.ops.linear_attention.naive import naive_linear_attention
from hf_ext.ops.rotary import rotary_cos_sin

B, N, C, D, E, M = 3, 2, 4, 6, 5, 10
# Shorter than a chunk, a chunk, a token more, several, and a last one that is not full.
LENGTHS = (1, 3, 4, 5, 8, 13)
# Which tokens are real: all; at the start; at the end; anywhere; none in the second row.
LAYOUTS = ("full", "right", "left", "holes", "empty row")
CAUSAL = tuple(kernel for kernel in KERNELS if kernel != "double_softmax")
FORMS = [*((kernel, False) for kernel in KERNELS), *((kernel, True) for kernel in CAUSAL)]
CLOSE: dict[str, Any] = {"atol": 1e-11, "rtol": 1e-11}


def tensors(length: int, batch: int = B, dtype: torch.dtype = torch.float64, seed: int = 0) -> list[Tensor]:
    """Queries, keys and values."""
    generator = torch.Generator().manual_seed(seed)
    sizes = (D, D, E)
    return [torch.randn(batch, N, length, size, generator=generator, dtype=torch.float64).to(dtype) for size in sizes]


def mask_of(layout: str, length: int) -> Tensor:
    kept = torch.tensor([length, (length + 1) // 2, max(length - 1, 1)])[:, None]
    columns = torch.arange(length)[None]
    if layout == "full":
        return torch.ones(B, length, dtype=torch.bool)
    if layout == "right":
        return columns < kept
    if layout == "left":
        return columns >= length - kept
    mask = torch.rand(B, length, generator=torch.Generator().manual_seed(length)) < 0.6
    mask[:, 0] |= ~mask.any(-1)
    if layout == "empty row":
        mask[1] = False
    return mask


def settings(kernel: str, length: int, rotary: bool, dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    """What else the kernel takes."""
    features = M if kernel == "favor" else D
    rotation = tuple(x.to(dtype) for x in rotary_cos_sin(torch.arange(length)[None], features)) if rotary else None
    omega = random_features(M, D).to(dtype) if kernel == "favor" else None
    return {"kernel": kernel, "omega": omega, "rotation": rotation}


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize(("kernel", "causal"), FORMS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_outputs_and_gradients_are_those_of_the_definition(
    layout: str, kernel: str, causal: bool, rotary: bool
) -> None:
    for length in LENGTHS:
        mask, found = mask_of(layout, length), []
        for attend in ("naive", "fast"):
            parts = [x.requires_grad_() for x in tensors(length)]
            options = settings(kernel, length, rotary) | {"causal": causal, "real": mask}
            if attend == "naive":
                out = naive_linear_attention(*parts, **options)
            else:
                out = linear_attention(*parts, **options, chunk_size=C)
            (out * torch.arange(out.numel()).view_as(out).cos()).sum().backward()
            found.append([out, *(x.grad for x in parts)])
        assert all(x.isfinite().all() for x in found[1])
        torch.testing.assert_close(found[1], found[0], **CLOSE)


@pytest.mark.parametrize(("kernel", "causal"), FORMS)
def test_gradcheck(kernel: str, causal: bool) -> None:
    parts = [x.requires_grad_() for x in tensors(6, batch=1)]
    real = torch.arange(6)[None] < 5
    options = settings(kernel, 6, rotary=True) | {"causal": causal, "real": real, "chunk_size": C}
    assert torch.autograd.gradcheck(lambda *inputs: linear_attention(*inputs, **options), parts)


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize(("kernel", "causal"), FORMS)
def test_nothing_leaks(kernel: str, causal: bool, rotary: bool) -> None:
    """A change at one token is seen, bit for bit, only where the token is."""
    real = (torch.arange(11) < 9)[None]
    options = settings(kernel, 11, rotary) | {"causal": causal, "real": real, "chunk_size": C}
    for dtype in (torch.float64, torch.float32):
        parts = tensors(11, batch=1)
        before = linear_attention(*(x.to(dtype) for x in parts), **options)[0]
        for changed in range(11):
            other = [x.clone() for x in parts]
            for part in other:
                part[:, :, changed] = 5 * torch.randn(part.shape[-1], dtype=torch.float64)
            after = linear_attention(*(x.to(dtype) for x in other), **options)[0]
            moved = (before != after).any(-1)[:, :9].any(0)
            if changed >= 9:
                assert not moved.any()
            elif causal:
                assert not moved[:changed].any()
                assert moved[changed]
            else:
                assert moved.all()


def run_in_pieces(
    parts: list[Tensor], real: Tensor, pieces: list[int], kernel: str, rotary: bool
) -> tuple[Tensor, LinearAttentionState]:
    options = settings(kernel, real.shape[1], rotary)
    rotation = options.pop("rotation")
    state: LinearAttentionState | None = None
    outs, start = [], 0
    for size in pieces:
        cut = slice(start, start + size)
        turn = None if rotation is None else tuple(x[:, cut] for x in rotation)
        piece = [x[:, :, cut] for x in parts]
        out, state = extend_state(state, *piece, **options, real=real[:, cut], rotation=turn, chunk_size=C)
        outs.append(out)
        start += size
    assert start == real.shape[1]
    assert state is not None
    return torch.cat(outs, dim=2), state


PIECES = ([13], [1] * 13, [4, 1, 1, 1, 1, 1, 4], [3, 9, 1], [5, 1, 2, 5], [8, 4, 1])


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("kernel", CAUSAL)
@pytest.mark.parametrize("layout", ["full", "right", "left"])
def test_states(layout: str, kernel: str, rotary: bool) -> None:
    """A text in pieces is the text run whole, whatever its rows' lengths; the state has the same size all along."""
    real = mask_of(layout, 13)
    wanted = naive_linear_attention(*tensors(13), **settings(kernel, 13, rotary), causal=True, real=real)
    features = {"favor": M, "cosine": D + 1}.get(kernel, D)
    for pieces in PIECES:
        for gradients in (True, False):
            with torch.set_grad_enabled(gradients):
                out, state = run_in_pieces(tensors(13), real, pieces, kernel, rotary)
            at = real[:, None, :, None].expand_as(out)
            torch.testing.assert_close(out[at], wanted[at], **CLOSE)
            assert torch.equal(state.lengths, real.sum(-1))
            assert state.total.shape == (B, N, features, E)
            assert state.norm.shape == state.shift.shape == (B, N, features)
    chosen = state.select(torch.tensor([2, 0]))
    assert torch.equal(chosen.total, state.total[[2, 0]])
    assert torch.equal(chosen.lengths, state.lengths[[2, 0]])


def test_gradients_through_a_state() -> None:
    found = []
    for pieces in ([13], [4, 1, 1, 1, 1, 1, 4]):
        parts = [x.requires_grad_() for x in tensors(13)]
        run_in_pieces(parts, mask_of("right", 13), pieces, "exp", rotary=True)[0].sin().sum().backward()
        found.append([x.grad for x in parts])
    torch.testing.assert_close(found[0], found[1], **CLOSE)


# The originals' numbers.


@pytest.fixture(scope="module")
def case(golden: Path) -> dict[str, Tensor]:
    with np.load(golden / "linear_attention" / "io.npz") as data:
        return {name: torch.from_numpy(data[name]) for name in data}


def golden_settings(name: str, data: dict[str, Tensor]) -> dict[str, Any]:
    kernel = name.removesuffix("_rope")
    rotation = rotary_cos_sin(torch.arange(8)[None], 6) if kernel != name else None
    return {"kernel": kernel, "omega": data["omega"] if kernel == "favor" else None, "rotation": rotation}


GOLDEN = [*KERNELS, "elu_rope", "cosine_rope"]


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("mode", ["bidirectional", "causal"])
def test_golden_numbers(mode: str, name: str, case: dict[str, Tensor], golden: Path) -> None:
    if (mode, name) == ("causal", "double_softmax"):
        assert "causal.double_softmax" not in case
        return
    tolerance = json.loads((golden / "linear_attention" / "meta.json").read_text(encoding="utf-8"))["tolerance"]
    wanted = case[f"{mode}.{name}"]
    options = golden_settings(name, case) | {"causal": mode == "causal", "real": case["attention_mask"].bool()}
    for dtype in (torch.float64, torch.float32):
        parts = [case[part].to(dtype) for part in ("query", "key", "value")]
        close = {"atol": tolerance[str(dtype).removeprefix("torch.")], "rtol": 0}
        for chunk_size in (3, 128):
            found = linear_attention(*parts, **options, chunk_size=chunk_size)
            torch.testing.assert_close(found.double(), wanted, **close)
    parts = [case[part] for part in ("query", "key", "value")]
    torch.testing.assert_close(naive_linear_attention(*parts, **options), wanted, atol=tolerance["float64"], rtol=0)


def test_golden_state(case: dict[str, Tensor]) -> None:
    parts, real = [case[part] for part in ("query", "key", "value")], case["attention_mask"].bool()
    _, state = extend_state(None, *parts, kernel="elu", real=real)
    back = state.shift.exp()
    torch.testing.assert_close(state.total * back[..., None], case["state.elu.s"], atol=1e-9, rtol=0)
    torch.testing.assert_close(state.norm * back, case["state.elu.z"], atol=1e-9, rtol=0)


@pytest.mark.parametrize("causal", [False, True])
def test_softmax_of_queries_is_the_exponential(causal: bool) -> None:
    """What a softmax divides a query by falls out in the division."""
    parts = tensors(13)
    found = [linear_attention(*parts, kernel=kernel, causal=causal) for kernel in ("exp", "softmax_exp")]
    torch.testing.assert_close(*found, atol=0, rtol=0)


# Extremes.


@pytest.mark.parametrize("shift", [0.0, 200.0, -200.0])
@pytest.mark.parametrize(("kernel", "causal"), [form for form in FORMS if form[0] not in ("cosine", "favor")])
def test_large_numbers(kernel: str, causal: bool, shift: float) -> None:
    """Logarithms that exponentials of float32 have no room for, in float32, against float64 of what is left of them."""
    query, key, value = tensors(13)
    query, key = 20 * query, 5 * key
    moved = [(query + 3 * shift).float(), (key + shift).float(), value.float()]
    found = linear_attention(*moved, kernel=kernel, causal=causal, chunk_size=C)
    assert found.isfinite().all()
    if kernel == "elu" and shift >= 0:
        # Linear above 0, so that nothing falls out.
        wanted = naive_linear_attention(*(x.double() for x in moved), kernel, causal)
    else:
        # Below 0 it is the exponential, and of float64 its 1 leaves nothing.
        wanted = naive_linear_attention(query, key, value, "exp" if kernel == "elu" else kernel, causal)
    # At 600 float32 knows 6e-5 of a number.
    torch.testing.assert_close(found.double(), wanted, atol=2e-3, rtol=2e-3)


def test_a_key_far_beyond_the_first_counts_for_as_much_as_fits() -> None:
    """Its text goes on without a number that is none; before it nothing changes."""
    query, key, value = tensors(9, dtype=torch.float32)
    key[:, :, 4] += 300
    out = linear_attention(query, key, value, causal=True, chunk_size=C)
    assert out.isfinite().all()
    torch.testing.assert_close(out[:, :, 4], value[:, :, 4], atol=1e-5, rtol=0)
    before = linear_attention(*(x[:, :, :4] for x in (query, key, value)), causal=True, chunk_size=C)
    torch.testing.assert_close(out[:, :, :4], before, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kernel", KERNELS)
def test_vectors_without_a_direction(kernel: str) -> None:
    """Zeros, and a key opposite to its only query, whose cosine leaves nothing to divide by: finite, gradients too."""
    for causal in (False, True)[: 1 + (kernel in CAUSAL)]:
        for query, key in ((torch.zeros(1, 1, 1, D), torch.zeros(1, 1, 1, D)), (torch.ones(1, 1, 1, D),) * 2):
            parts = [query.clone().requires_grad_(), (-key).requires_grad_(), torch.ones(1, 1, 1, E)]
            out = linear_attention(*parts, **settings(kernel, 1, False, torch.float32), causal=causal)
            out.sum().backward()
            assert all(x.isfinite().all() for x in (out, parts[0].grad, parts[1].grad))
            if kernel != "cosine" or not query.any():
                torch.testing.assert_close(out, torch.ones_like(out))


@pytest.mark.parametrize(("kernel", "causal"), FORMS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype, kernel: str, causal: bool) -> None:
    """Sums of 2,000 outer products that overflow float16 are as near to float64 as the type of the output allows."""
    generator = torch.Generator().manual_seed(3)
    parts = [torch.randn(1, 2, 2000, size, generator=generator) * scale for size, scale in ((D, 3), (D, 3), (E, 100))]
    parts = [x.to(dtype) for x in parts]
    options = settings(kernel, 2000, False)
    wanted = naive_linear_attention(*(x.double() for x in parts), **options, causal=causal)
    found = linear_attention(*parts, **options, causal=causal)
    assert found.dtype == dtype
    error = (found.double() - wanted).norm() / wanted.norm()
    assert error < 2 * torch.finfo(dtype).eps
    if causal:
        out, state = extend_state(None, *parts, kernel=kernel, omega=options["omega"])
        assert (out.dtype, state.total.dtype, state.norm.dtype) == (dtype, torch.float32, torch.float32)


def test_autocast_computes_outside_of_it() -> None:
    parts = tensors(9, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = linear_attention(*parts, causal=True)
    assert torch.equal(found, linear_attention(*parts, causal=True))


# Random features.


def test_random_features_estimate_softmax() -> None:
    """Their mean over draws comes near softmax's numerator; the error falls with the root of their number, and is less
    where they are orthogonal."""
    generator = torch.Generator().manual_seed(5)
    query, key = (0.5 * torch.randn(1, 1, 20, D, generator=generator, dtype=torch.float64) for _ in range(2))
    wanted = (query @ key.mT / D**0.5).exp()

    def estimate(size: int, seed: int, orthogonal: bool) -> Tensor:
        omega = random_features(size, D, seed, orthogonal)
        phi, psi = (
            (x * D**-0.25 @ omega.T - (x * D**-0.25).square().sum(-1, keepdim=True) / 2).exp() / size**0.5
            for x in (query, key)
        )
        return phi @ psi.mT

    def error(size: int, orthogonal: bool = True) -> float:
        draws = [((estimate(size, seed, orthogonal) / wanted).log2()).square().mean() for seed in range(100)]
        return math.sqrt(sum(float(draw) for draw in draws) / len(draws))

    for orthogonal in (True, False):
        mean = sum(estimate(D, seed, orthogonal) for seed in range(2000)) / 2000
        torch.testing.assert_close(mean, wanted, atol=0, rtol=0.25)
        assert (mean / wanted - 1).abs().mean() < 0.03
    errors = [error(size) for size in (D, 16 * D, 64 * D)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.35)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.35)
    assert error(4 * D) < 0.98 * error(4 * D, orthogonal=False)

    value = torch.randn(1, 1, 20, E, generator=generator, dtype=torch.float64)
    softmax = (query @ key.mT / D**0.5).softmax(-1) @ value
    near, far = (linear_attention(query, key, value, "favor", omega=random_features(n * D, D)) for n in (500, 1))
    torch.testing.assert_close(near, softmax, atol=0.03, rtol=0)
    assert (near - softmax).norm() < (far - softmax).norm() / 5


def test_random_features_are_orthogonal_in_groups() -> None:
    omega = random_features(2 * D + 3, D, seed=4)
    assert omega.shape == (2 * D + 3, D)
    for group in omega.split(D):
        products = group @ group.T
        torch.testing.assert_close(products, products.diagonal().diag(), atol=1e-12, rtol=0)
    torch.testing.assert_close(random_features(2 * D + 3, D, seed=4), omega, atol=0, rtol=0)
    assert not torch.equal(random_features(2 * D + 3, D, seed=5), omega)
    # As long as normal vectors, and pointing anywhere.
    many = random_features(6000, D, seed=1)
    assert float(many.square().sum(-1).mean()) == pytest.approx(D, rel=0.05)
    torch.testing.assert_close(many.T @ many / 6000, torch.eye(D, dtype=torch.float64), atol=0.06, rtol=0)
    assert many.mean(0).abs().max() < 0.06
    with pytest.raises(ValueError, match="size and key_size must be at least 1, got 0 and 4"):
        random_features(0, 4)


def test_random_draws_leave_the_global_generator_alone() -> None:
    torch.manual_seed(1)
    wanted = torch.rand(3)
    torch.manual_seed(1)
    random_features(8, 4)
    assert torch.equal(torch.rand(3), wanted)


# What costs, and what is refused.


@pytest.mark.parametrize("causal", [False, True])
def test_nothing_is_as_large_as_a_matrix_of_weights(causal: bool) -> None:
    """Forward and backward of 2,048 tokens in less than half of the memory of [L, L], and in proportion to L."""
    import harness

    def peak(length: int) -> int:
        parts = [torch.randn(1, 1, length, 8, requires_grad=True) for _ in range(3)]
        rotation = tuple(x.float() for x in rotary_cos_sin(torch.arange(length)[None], 8))

        def call() -> None:
            linear_attention(*parts, causal=causal, rotation=rotation, chunk_size=16).sum().backward()

        call()
        return harness.peak_bytes(call)

    short, long = peak(1024), peak(2048)
    assert long < 2048 * 2048 * 4 / 2
    assert long < 2.2 * short


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "sigmoid"}, "kernel must be one of .*got 'sigmoid'"),
        ({"kernel": "double_softmax", "causal": True}, 'no causal form.*use "softmax_exp"'),
        ({"kernel": "favor"}, r"omega must have shape \[M, 6\] for kernel 'favor', got None"),
        ({"kernel": "favor", "omega": torch.zeros(4, 5)}, r"omega must have shape \[M, 6\].*got \[4, 5\]"),
        ({"omega": torch.zeros(4, 6)}, "omega must be None but for kernel 'favor'"),
    ],
)
def test_refusals(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        linear_attention(*tensors(3), **options)
    if "causal" in options:
        with pytest.raises(ValueError, match=message):
            extend_state(None, *tensors(3), kernel=options["kernel"])
