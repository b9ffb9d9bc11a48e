"""Mixed chunk attention against its definition written out, in float64: outputs, gradients, states, what may leak."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hf_ext.ops.mixed_chunk_attention import (
    MixedChunkState,
    extend_state,
    mixed_chunk_attention,
    squared_relu_attention,
    step_state,
)
from hf_ext.ops.mixed_chunk_attention.naive import naive_mixed_chunk_attention
from hf_ext.ops.rotary import apply_rotary, rotary_cos_sin
from hf_ext.ops.row_alignment import RowAlignment

B, C, K, I = 3, 4, 6, 5  # noqa: E741
SCALINGS = ("length", "key_size")
# Shorter than a chunk, a chunk, a token more, several, and a last one that is not full.
LENGTHS = (1, 3, 4, 5, 8, 13)
# Which tokens are real: all; at the start; at the end; anywhere; none in the second row.
LAYOUTS = ("full", "right", "left", "holes", "empty row")


def tensors(length: int, batch: int = B, dtype: torch.dtype = torch.float64, seed: int = 0) -> list[Tensor]:
    """Queries and keys of both attentions, and values."""
    generator = torch.Generator().manual_seed(seed)
    sizes = (K, K, K, K, I)
    return [torch.randn(batch, length, size, generator=generator, dtype=torch.float64).to(dtype) for size in sizes]


def bias_of(size: int = C) -> Tensor:
    return torch.randn(size, size, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


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


def fast(parts: list[Tensor], mask: Tensor, causal: bool, bias: Tensor | None, scaling: str) -> Tensor:
    """The fast path on any layout, zero at padding as the definition is."""
    alignment = RowAlignment.from_mask(mask)
    aligned = [alignment.align(x) for x in parts]
    out = mixed_chunk_attention(*aligned, C, causal, alignment.real, bias, scaling)
    return alignment.restore(out, len(mask)).masked_fill(~mask[..., None], 0)


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("length", LENGTHS)
def test_outputs_and_gradients_are_those_of_the_definition(
    length: int, layout: str, causal: bool, scaling: str
) -> None:
    mask, found = mask_of(layout, length), []
    for attend in ("naive", "fast"):
        parts, bias = [x.requires_grad_() for x in tensors(length)], bias_of().requires_grad_()
        if attend == "naive":
            out = naive_mixed_chunk_attention(*parts, C, causal, mask, bias, scaling)
        else:
            out = fast(parts, mask, causal, bias, scaling)
        (out * torch.arange(out.numel()).view_as(out).cos()).sum().backward()
        # Below a chunk causal linear attention sees nothing, and its queries and keys take no part.
        found.append([out, *(torch.zeros_like(x) if x.grad is None else x.grad for x in (*parts, bias))])
    torch.testing.assert_close(found[1], found[0], atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("causal", [False, True])
def test_without_mask_and_bias(causal: bool) -> None:
    parts = tensors(9)
    found = mixed_chunk_attention(*parts, C, causal)
    torch.testing.assert_close(found, naive_mixed_chunk_attention(*parts, C, causal), atol=1e-12, rtol=0)


@pytest.mark.parametrize("causal", [False, True])
def test_gradcheck(causal: bool) -> None:
    parts = [x.requires_grad_() for x in tensors(6, batch=2)]
    real = torch.arange(6) < torch.tensor([[6], [4]])
    bias = bias_of().requires_grad_()

    def attend(*inputs: Tensor) -> Tensor:
        return mixed_chunk_attention(*inputs[:5], C, causal, real, inputs[5])[real]

    assert torch.autograd.gradcheck(attend, (*parts, bias))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("changed", range(11))
def test_nothing_leaks(changed: int, causal: bool) -> None:
    """A change at one token is seen, bit for bit, only where the token is."""
    parts, real = tensors(11, batch=1), (torch.arange(11) < 9)[None]
    before = mixed_chunk_attention(*parts, C, causal, real, bias_of())[0]
    for part in parts:
        part[:, changed] = 50 * torch.randn(part.shape[-1], dtype=torch.float64)
    after = mixed_chunk_attention(*parts, C, causal, real, bias_of())[0]
    moved = (before != after).any(-1)[:9]
    if changed >= 9:
        assert not moved.any()
    elif causal:
        assert not moved[:changed].any()
        assert moved[changed]
    else:
        assert moved.all()


@pytest.mark.parametrize("more", [1, 3, 4, 30])
def test_a_causal_output_does_not_know_how_long_the_text_gets(more: int) -> None:
    parts = tensors(6 + more)
    whole = mixed_chunk_attention(*parts, C, True)
    begun = mixed_chunk_attention(*(x[:, :6] for x in parts), C, True)
    torch.testing.assert_close(begun, whole[:, :6], atol=1e-13, rtol=0)


def run_in_pieces(parts: list[Tensor], real: Tensor, pieces: list[int], scaling: str) -> tuple[Tensor, MixedChunkState]:
    state: MixedChunkState | None = None
    outs, start, bias = [], 0, bias_of()
    for size in pieces:
        piece, cut = [x[:, start : start + size] for x in parts], real[:, start : start + size]
        if state is not None and size == 1:
            out, state = step_state(state, *piece, C, cut, bias[state.filled % C], scaling)
        else:
            out, state = extend_state(state, *piece, C, cut, bias, scaling)
        outs.append(out)
        start += size
    assert start == real.shape[1]
    assert state is not None
    return torch.cat(outs, dim=1), state


PIECES = ([13], [1] * 13, [4, 1, 1, 1, 1, 1, 4], [3, 9, 1], [5, 1, 2, 5], [8, 4, 1])


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("layout", ["full", "right"])
@pytest.mark.parametrize("pieces", PIECES, ids=str)
def test_states(pieces: list[int], layout: str, scaling: str, gradients: bool) -> None:
    """A text in pieces is the text run whole, whatever its rows' lengths; the state has the same size all along."""
    parts, real = tensors(13), mask_of(layout, 13)
    with torch.set_grad_enabled(gradients):
        out, state = run_in_pieces(parts, real, pieces, scaling)
    wanted = naive_mixed_chunk_attention(*parts, C, True, real, bias_of(), scaling)
    torch.testing.assert_close(out[real], wanted[real], atol=1e-12, rtol=0)
    assert torch.equal(state.lengths, real.sum(-1))
    assert state.total.shape == (B, K, I)
    assert state.key.shape == state.linear_key.shape == (B, C, K)
    assert state.value.shape == (B, C, I)
    chosen = state.select(torch.tensor([2, 0]))
    assert torch.equal(chosen.value, state.value[[2, 0]])
    assert torch.equal(chosen.lengths, state.lengths[[2, 0]])


def test_gradients_through_a_state() -> None:
    found = []
    for pieces in ([13], [4, 1, 1, 1, 1, 1, 4]):
        parts = [x.requires_grad_() for x in tensors(13)]
        run_in_pieces(parts, mask_of("right", 13), pieces, "length")[0][mask_of("right", 13)].sin().sum().backward()
        found.append([x.grad for x in parts])
    torch.testing.assert_close(found[0], found[1], atol=1e-12, rtol=0)


@pytest.mark.parametrize("scale", [1.0, 300.0])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype, causal: bool, scale: float) -> None:
    """Scores whose squares, and sums, overflow float16 are as near to float64 as the type of the output allows."""
    length, chunk = 600, 64
    sizes = (32, 32, 32, 32, 8)
    generator = torch.Generator().manual_seed(3)
    parts = [torch.randn(1, length, size, generator=generator).to(dtype) for size in sizes]
    parts[0], parts[2] = parts[0] * scale, parts[2] * scale
    parts[4] = parts[4] / scale**2
    wanted = naive_mixed_chunk_attention(*(x.double() for x in parts), chunk, causal, scaling="key_size")
    found = mixed_chunk_attention(*parts, chunk, causal, scaling="key_size")
    assert found.dtype == dtype
    assert bool(found.isfinite().all())
    error = (found.double() - wanted).norm() / wanted.norm()
    assert error < (2e-3 if dtype == torch.float16 else 2e-2)
    out, state = extend_state(None, *parts, chunk, scaling="key_size")
    assert out.dtype == dtype
    assert state.total.dtype == torch.float32


def test_autocast_computes_outside_of_it() -> None:
    parts = tensors(9, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = mixed_chunk_attention(*parts, C, True)
    assert torch.equal(found, mixed_chunk_attention(*parts, C, True))


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("causal", [False, True])
def test_a_single_chunk_is_quadratic_attention(causal: bool, scaling: str) -> None:
    """A text as long as a chunk, without what is linear, is attended to as a whole."""
    query, key, linear, _, value = tensors(C)
    visible = torch.ones(1, C, C, dtype=torch.bool).tril() if causal else None
    nothing = torch.zeros_like(linear)
    found = mixed_chunk_attention(query, key, nothing, nothing, value, C, causal, scaling=scaling)
    if causal:
        # Chunks count C everywhere; the quadratic form counts what a query sees. The last one sees all.
        found = found[:, -1:]
        query, visible = query[:, -1:], None
    torch.testing.assert_close(squared_relu_attention(query, key, value, scaling, None, visible), found)


def golden_unit(data: Any, rotary: bool, scores: str, bias: Tensor | None, visible: Tensor | None) -> Tensor:
    """bert4keras' gated attention unit around the attention under test."""
    weight = {name.removeprefix("gau_w_"): torch.from_numpy(data[name]) for name in data if name.startswith("gau_w_")}
    x = torch.from_numpy(data["x"])
    hidden = x @ weight["i_kernel"] + weight["i_bias"]
    hidden = torch.nn.functional.gelu(hidden) if scores == "gelu" else torch.nn.functional.silu(hidden)
    gate, value, base = hidden.split([20, 20, 16], dim=-1)
    query, key = (base * weight[f"{name}_gamma"] + weight[f"{name}_beta"] for name in "qk")
    if rotary:
        cos_sin = [y.float() for y in rotary_cos_sin(torch.arange(17)[None], 16)]
        query, key = (apply_rotary(y[:, :, None], *cos_sin)[:, :, 0] for y in (query, key))
    if scores == "noscale":
        query = query * 4
    attended = squared_relu_attention(query, key, value, "key_size", bias, visible)
    return (gate * attended) @ weight["o_kernel"] + weight["o_bias"]


# Name: rotated, kind, whether padding is masked.
GOLDEN = {
    "squared_relu": (False, "", True),
    "squared_relu_rotary": (True, "", True),
    "squared_relu_nomask": (False, "", False),
    "squared_relu_noscale": (False, "noscale", True),
    "squared_relu_gelu": (False, "gelu", True),
    "squared_relu_bool_bias": (False, "bool", True),
    "squared_relu_float_bias_rotary": (True, "float", True),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_original_numbers(name: str, golden: Path) -> None:
    rotary, kind, masked = GOLDEN[name]
    with np.load(golden / "layers" / "io.npz") as data:
        visible = torch.from_numpy(data["mask"])[:, None] if masked else None
        bias = torch.from_numpy(data["attention_bias_float"]) if kind == "float" else None
        if kind == "bool":
            visible = visible & torch.from_numpy(data["attention_bias_bool"])
        found = golden_unit(data, rotary, kind, bias, visible)
        wanted = torch.from_numpy(data[f"gau_{name}_out"])
    # Without the scale the numbers grow to 70, of which float32 knows 6e-6.
    torch.testing.assert_close(found, wanted, atol=2e-5, rtol=1e-6 if kind == "noscale" else 0)


def test_original_numbers_of_the_normalisation(golden: Path) -> None:
    """relu(s)^2 over the number of keys, at three lengths."""
    with np.load(golden / "layers" / "io.npz") as data:
        for length in (9, 40, 600):
            scores, mask = (torch.from_numpy(data[f"attnorm{length}_{what}"]) for what in ("scores", "mask"))
            wanted = torch.from_numpy(data[f"attnorm{length}_squared_relu"])
            scores[~mask[:, None, None].expand_as(scores)] = 0
            # Identity keys and values turn the attention into its own weights; the query undoes the scale.
            eye = torch.eye(length).expand(scores[:, 0].shape[0], -1, -1)
            for head in range(scores.shape[1]):
                query = scores[:, head] * length**0.5
                found = squared_relu_attention(query, eye, eye, "key_size", None, mask[:, None])
                torch.testing.assert_close(found, wanted[:, head], atol=1e-5, rtol=1e-5)


def test_unknown_scaling() -> None:
    query = torch.zeros(1, 2, 4)
    with pytest.raises(ValueError, match=r'scaling must be "length" or "key_size", got \'rows\''):
        squared_relu_attention(query, query, query, "rows")
    with pytest.raises(ValueError, match="scaling must be"):
        mixed_chunk_attention(query, query, query, query, query, C, False, scaling="rows")
