"""Gated attention: the fused form against its readable twin and the originals' numbers; the growth of scores."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hf_ext.ops.gated_attention import (
    fused,
    gated_attention,
    log_n_factor,
    naive_gated_attention,
    split_projection,
    visible_keys,
)
from hf_ext.ops.rotary import rotary_cos_sin

SIZE, INNER = 6, 10


def inputs(rows: int, length: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> tuple[Any, ...]:
    """Projection and scales with gradients, and the rotations, of which that of the queries also scales."""
    generator = torch.Generator().manual_seed(seed)
    tensors = [
        torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
        for shape in ((rows, length, 2 * INNER + SIZE), (SIZE,), (SIZE,))
    ]
    cos, sin = rotary_cos_sin(torch.arange(length)[None], SIZE)
    scale = torch.linspace(0.5, 1.5, rows * length, dtype=torch.float64).view(rows, length, 1)
    return *tensors, (cos * scale, sin * scale), (cos, sin)


def outputs(function: Any, arguments: tuple[Any, ...], **settings: Any) -> list[Tensor]:
    """The output, and the gradients of a random weighting of it."""
    out = function(*arguments, **settings)
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(out.dtype)
    return [out.detach(), *torch.autograd.grad(out, arguments[:3], weight)]


def seen(rows: int, length: int) -> Tensor:
    """A bool mask of pairs under which each query sees itself."""
    mask = torch.rand(rows, 1, length, length, generator=torch.Generator().manual_seed(2)) > 0.4
    return mask | torch.eye(length, dtype=torch.bool)


def padding(rows: int, length: int) -> Tensor:
    """A bool mask of keys; the last row has a single one."""
    lengths = torch.linspace(length, 1, rows).long()
    return (torch.arange(length) < lengths[:, None])[:, None, None]


LAYOUTS: dict[str, tuple[int, int, dict[str, Any]]] = {
    "full": (3, 7, {}),
    "one token": (2, 1, {}),
    "pairs": (3, 7, {"mask": seen(3, 7)}),
    "pairs, the same for all rows": (3, 7, {"mask": seen(1, 7)}),
    "padding": (4, 9, {"mask": padding(4, 9)}),
    "additive": (2, 5, {"mask": torch.linspace(-3, 3, 50, dtype=torch.float64).view(2, 1, 5, 5)}),
    "packed": (1, 13, {"lengths": [6, 1, 2, 4]}),
    "packed alone": (1, 5, {"lengths": [5]}),
}


@pytest.mark.parametrize("tile", [1, 20, 2**19])
@pytest.mark.parametrize("keep", [1, 512])
@pytest.mark.parametrize(("rows", "length", "settings"), LAYOUTS.values(), ids=LAYOUTS)
def test_fused_is_naive(
    monkeypatch: pytest.MonkeyPatch, rows: int, length: int, settings: dict[str, Any], keep: int, tile: int
) -> None:
    monkeypatch.setattr(fused, "_CPU_TILE", tile)
    monkeypatch.setattr(fused, "_KEEP_ATTENDED", keep)
    arguments = inputs(rows, length)
    found, wanted = (outputs(f, arguments, **settings) for f in (gated_attention, naive_gated_attention))
    for one, other in zip(found, wanted):
        torch.testing.assert_close(one, other, atol=1e-13, rtol=1e-12)


def test_by_hand() -> None:
    """A loop over rows, queries and keys, from the formula."""
    projected, query_scale, key_scale, query_rotation, key_rotation = inputs(2, 4)
    active = projected.detach() / (1 + (-projected.detach()).exp())
    wanted = torch.zeros(2, 4, INNER, dtype=torch.float64)

    def turned(vector: Tensor, row: int, position: int, rotation: tuple[Tensor, Tensor]) -> Tensor:
        cos, sin = (x.expand(2, -1, -1)[row, position] for x in rotation)
        out = torch.empty_like(vector)
        for i in range(SIZE // 2):
            a, b = vector[2 * i], vector[2 * i + 1]
            out[2 * i], out[2 * i + 1] = a * cos[i] - b * sin[i], b * cos[i] + a * sin[i]
        return out

    for row in range(2):
        gates, values, shared = active[row].split((INNER, INNER, SIZE), dim=-1)
        for i in range(4):
            query = turned(shared[i] * query_scale.detach(), row, i, query_rotation)
            keys = [turned(shared[j] * key_scale.detach(), row, j, key_rotation) for j in range(4)]
            weights = torch.tensor([math.exp(query @ key) for key in keys], dtype=torch.float64)
            wanted[row, i] = gates[i] * (weights / weights.sum() @ values)
    for function in (gated_attention, naive_gated_attention):
        found = function(projected, query_scale, key_scale, query_rotation, key_rotation)
        torch.testing.assert_close(found.detach(), wanted, atol=1e-13, rtol=0)


@pytest.mark.parametrize("keep", [1, 512])
@pytest.mark.parametrize("tile", [8, 2**19])
@pytest.mark.parametrize("settings", [{}, {"mask": seen(1, 5)}, {"lengths": [2, 3]}], ids=["full", "pairs", "packed"])
def test_dropout(monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], tile: int, keep: int) -> None:
    """The gradients are those of the weights that the forward pass dropped, found again from one number."""
    monkeypatch.setattr(fused, "_CPU_TILE", tile)
    monkeypatch.setattr(fused, "_KEEP_ATTENDED", keep)
    arguments = inputs(1, 5)

    def drop(*tensors: Tensor) -> Tensor:
        torch.manual_seed(3)
        return gated_attention(*tensors, *arguments[3:], dropout=0.4, **settings)

    assert torch.autograd.gradcheck(drop, arguments[:3], fast_mode=True)
    assert torch.equal(drop(*arguments[:3]), drop(*arguments[:3]))
    assert not torch.allclose(drop(*arguments[:3]), gated_attention(*arguments, **settings))


def test_dropout_keeps_the_mean() -> None:
    projected, *others = inputs(1, 8)
    torch.manual_seed(0)
    with torch.no_grad():
        mean = gated_attention(projected.repeat(2000, 1, 1), *others, dropout=0.25).mean(0, keepdim=True)
        wanted = gated_attention(projected, *others)
    torch.testing.assert_close(mean, wanted, atol=0.03, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_half_precision(dtype: torch.dtype, scale: float) -> None:
    """Nothing overflows where scores reach thousands, and the error is that of rounding."""
    exact, half = (inputs(2, 33, kind) for kind in (torch.float64, dtype))
    with torch.no_grad():
        for arguments in (exact, half):
            arguments[1].mul_(scale)
            arguments[2].mul_(scale)
        # The same numbers on both sides.
        for one, other in zip(exact[:3], half[:3]):
            one.copy_(other)
    found = outputs(gated_attention, half, mask=padding(2, 33))
    assert all(x.dtype == dtype and x.isfinite().all() for x in found)
    twin = outputs(naive_gated_attention, half, mask=padding(2, 33))
    wanted = outputs(gated_attention, exact, mask=padding(2, 33))
    for one, other, right in zip(found, twin, wanted):
        error, limit = ((x.double() - right).square().mean().sqrt() for x in (one, other))
        # Rounding differs from the twin's, not in size.
        assert error <= 1.5 * limit + torch.finfo(dtype).eps * right.square().mean().sqrt()


def test_autocast_changes_nothing() -> None:
    arguments = inputs(2, 6, torch.float32)
    plain = outputs(gated_attention, arguments)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = outputs(gated_attention, arguments)
    for one, other in zip(plain, under):
        assert torch.equal(one, other)


def test_scales_of_another_type() -> None:
    """Under autocast the projection is in half precision and the parameters are not."""
    projected, query_scale, key_scale, *rotations = inputs(2, 6)
    mixed = (projected.detach().bfloat16().requires_grad_(), query_scale, key_scale, *rotations)
    for function in (gated_attention, naive_gated_attention):
        out = function(*mixed)
        out.sum().backward()
        assert out.dtype == mixed[0].grad.dtype == torch.bfloat16
        assert query_scale.grad.dtype == torch.float64


def test_queries_that_see_nothing() -> None:
    arguments = inputs(2, 4)
    mask = torch.ones(2, 1, 4, 4, dtype=torch.bool)
    mask[1] = False
    for found, full in zip(outputs(gated_attention, arguments, mask=mask), outputs(gated_attention, arguments)):
        assert found.isfinite().all()
        if found.dim() == 3:
            torch.testing.assert_close(found[0], full[0])


@pytest.mark.parametrize("rows", [0, 2])
def test_nothing_to_attend_to(rows: int) -> None:
    length = 0 if rows else 3
    cos, sin = rotary_cos_sin(torch.arange(length)[None], SIZE)
    projected = torch.zeros(rows, length, 2 * INNER + SIZE, dtype=torch.float64)
    scale = torch.ones(SIZE, dtype=torch.float64)
    assert gated_attention(projected, scale, scale, (cos, sin), (cos, sin)).shape == (rows, length, INNER)


def test_no_scores_are_kept() -> None:
    """What the backward pass needs is of the size of the projection: nothing has L * L elements."""
    arguments = inputs(1, 600)
    sizes: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        gated_attention(*arguments, dropout=0.1)
    assert max(sizes) == arguments[0].numel()
    assert sum(sizes) < 600 * 600 / 4


def test_second_order_is_refused() -> None:
    projected, *rest = inputs(1, 3)
    with pytest.raises(RuntimeError, match="first order only"):
        torch.autograd.grad(gated_attention(projected, *rest).sum(), projected, create_graph=True)


def test_other_activations_run_in_the_readable_form() -> None:
    arguments = inputs(2, 5)
    found = gated_attention(*arguments, activation=torch.nn.functional.gelu)
    wanted = naive_gated_attention(*arguments, activation=torch.nn.functional.gelu)
    assert torch.equal(found, wanted)
    assert not torch.allclose(found, gated_attention(*arguments))


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "odd width": ({"projected": torch.zeros(1, 3, 21)}, r"projected must be \[B, L, 2I \+ K\].*\(1, 3, 21\)"),
    "other scale": ({"key_scale": torch.ones(4)}, r"both scales \[K\].*\(4,\)"),
    "lengths too short": ({"lengths": [1, 1]}, r"lengths must add up.*\[1, 1\] for 1 rows of 3"),
    "lengths and mask": ({"lengths": [3], "mask": seen(1, 3)}, "without a mask.*given"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_bad_input(change: dict[str, Any], message: str) -> None:
    names = ("projected", "query_scale", "key_scale", "query_rotation", "key_rotation")
    with pytest.raises(ValueError, match=message):
        gated_attention(**(dict(zip(names, inputs(1, 3))) | change))


class TestLogN:
    @pytest.mark.parametrize(
        ("keys", "bound", "wanted"),
        [(512, 16, 1.0), (1, 1, 0.0), (1, 16, 4 / 9), (16, 16, 4 / 9), (17, 1, math.log(17) / math.log(512))],
    )
    def test_factor(self, keys: int, bound: int, wanted: float) -> None:
        assert log_n_factor(torch.tensor(keys), bound).item() == pytest.approx(wanted, abs=1e-15)

    def test_bad_bound(self) -> None:
        with pytest.raises(ValueError, match="lower_bound must be at least 1, got 0"):
            log_n_factor(torch.tensor(3), 0)

    def test_keys_by_every_form_of_mask(self) -> None:
        from torch.nn.attention.flex_attention import create_block_mask

        mask = seen(3, 7)
        wanted = mask[:, 0].sum(-1)
        additive = torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(torch.float32).min)
        block = create_block_mask(lambda b, h, q, k: mask[b, 0, q, k], 3, None, 7, 7, device="cpu")
        for form in (mask, additive, torch.zeros(mask.shape).masked_fill(~mask, -torch.inf), block):
            assert torch.equal(visible_keys(7, form, device=torch.device("cpu")), wanted)
        assert visible_keys(7, None).tolist() == [[7]]
        assert visible_keys(7, None, [4, 1, 2]).tolist() == [[4, 4, 4, 4, 1, 2, 2]]
        assert visible_keys(9, padding(4, 9)).tolist() == [[9], [6], [3], [1]]


# Variant, rotated, normalisation, mask: those with softmax. The others are of FLASH.
GOLDEN = {
    "softmax_plus": (False, True, "padding"),
    "softmax_plus_rotary": (True, True, "padding"),
    "softmax_plus_rotary_nobias": (True, True, "padding"),
    "softmax_rotary": (True, False, "padding"),
    "softmax_plus_rotary_bool_bias": (True, True, "pairs"),
}


@pytest.mark.parametrize("variant", GOLDEN)
def test_originals_layers(golden: Any, variant: str) -> None:
    """The whole unit between the original's weights; biases join the projection and, as offsets, q and k."""
    rotary, plus, kind = GOLDEN[variant]
    io = {name: torch.from_numpy(value) for name, value in np.load(golden / "layers" / "io.npz").items()}
    x, mask = io["x"], io["mask"].bool()[:, None, None]
    if kind == "pairs":
        mask = mask & io["attention_bias_bool"].bool().view(-1, 1, 17, 17)
    bias = 0.0 if "nobias" in variant else 1.0
    projected = x @ io["gau_w_i_kernel"] + bias * io["gau_w_i_bias"]
    cos, sin = rotary_cos_sin(torch.arange(17)[None] * rotary, 16)
    scale = 16**-0.5 * (log_n_factor(visible_keys(17, mask)).unsqueeze(-1) if plus else 1.0)
    rotations = (cos * scale, sin * scale), (cos, sin)
    scales = io["gau_w_q_gamma"], io["gau_w_k_gamma"]
    if bias:
        # Offsets stand outside of what GAU-alpha has: attend with them in the open.
        gate, _, _, value = split_projection(projected, *scales, *rotations)
        shared = torch.nn.functional.silu(projected)[..., -16:]
        from hf_ext.ops.gated_attention.naive import apply_mask, rotate, softmax

        query = rotate(shared * scales[0] + io["gau_w_q_beta"], *rotations[0])
        key = rotate(shared * scales[1] + io["gau_w_k_beta"], *rotations[1])
        gated = gate * (softmax(apply_mask(query @ key.mT, mask[:, 0])) @ value)
    else:
        gated = gated_attention(projected, *scales, *rotations, mask)
    found = gated @ io["gau_w_o_kernel"] + bias * io["gau_w_o_bias"]
    np.testing.assert_allclose(found.numpy(), io[f"gau_{variant}_out"].numpy(), atol=2e-5, rtol=0)


@pytest.mark.gpu
@pytest.mark.parametrize("layout", ["full", "pairs", "padding", "packed"])
def test_on_a_gpu(layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_EXT_TRITON", "1")
    rows, length, settings = LAYOUTS[layout]
    arguments = inputs(rows, length)
    exact = outputs(naive_gated_attention, arguments, **settings)
    moved: Any = [
        x.detach().to("cuda", torch.bfloat16).requires_grad_() if isinstance(x, Tensor) else tuple(y.cuda() for y in x)
        for x in arguments
    ]
    settings = {name: x.cuda() if isinstance(x, Tensor) else x for name, x in settings.items()}
    for found, wanted in zip(outputs(gated_attention, tuple(moved), **settings), exact):
        torch.testing.assert_close(found.cpu().double(), wanted, atol=0.15, rtol=0.05)
