"""Frequencies, score maps, biases, factors and windows for long texts against golden numbers and brute force."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hf_ext.ops.distance_bias import alibi_bias, alibi_slopes, kerple_bias, sandwich_bias, xpos_decay
from hf_ext.ops.gated_attention import log_n_factor
from hf_ext.ops.key_counts import key_counts
from hf_ext.ops.ntk import NTK_KINDS, ntk_frequencies
from hf_ext.ops.rerope import rerope_maps, rerope_scores, rerope_step, rerope_step_scores
from hf_ext.ops.rotary import apply_rotary, rotary_cos_sin, rotary_frequencies
from hf_ext.ops.window_attention import naive_window_attention, window_attention, window_mask

CLOSE: dict[str, Any] = {"atol": 1e-9, "rtol": 0}


@pytest.fixture(scope="module")
def io(golden: Path) -> dict[str, Tensor]:
    with np.load(golden / "length_extrapolation" / "io.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def heads(length: int, size: int = 8, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (2, 3, length, size)
    query, key, value = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(3))
    return query, key, value


def turned(x: Tensor, places: Tensor, frequencies: Tensor | None = None) -> Tensor:
    cos, sin = rotary_cos_sin(places, x.shape[-1], frequencies=frequencies)
    return apply_rotary(x.transpose(1, 2), cos, sin).transpose(1, 2)


def scores_by_distance(query: Tensor, key: Tensor, distance: Tensor) -> Tensor:
    """The score of each pair, rotated by its own distance ``[Q, S]``: complex numbers, one for each pair."""
    q, k = (torch.view_as_complex(x.unflatten(-1, (-1, 2))) for x in (query, key))
    angles = distance.double()[..., None] * rotary_frequencies(query.shape[-1])
    return torch.einsum("bnip,bnjp,ijp->bnij", q, k.conj(), torch.polar(torch.ones_like(angles), angles)).real


def distances(length: int) -> Tensor:
    places = torch.arange(length)
    return places[:, None] - places


@pytest.mark.parametrize("kind", NTK_KINDS)
@pytest.mark.parametrize("exponent", [0.625, 0.75])
def test_frequencies_are_golden(io: dict[str, Tensor], kind: str, exponent: float) -> None:
    name = f"{kind}_{exponent}" if kind == "ntk_mixed" else kind
    torch.testing.assert_close(ntk_frequencies(kind, 8, 8, exponent=exponent), io[f"frequencies.{name}"], **CLOSE)


def test_special_cases_of_frequencies(io: dict[str, Tensor]) -> None:
    plain = rotary_frequencies(8)
    torch.testing.assert_close(plain, io["frequencies.rope"], **CLOSE)
    for kind in NTK_KINDS:
        torch.testing.assert_close(ntk_frequencies(kind, 8, 1), plain, atol=1e-15, rtol=1e-15)
    interpolated = ntk_frequencies("ntk_mixed", 8, 8, exponent=0)
    torch.testing.assert_close(interpolated, io["frequencies.interpolation"], **CLOSE)
    torch.testing.assert_close(ntk_frequencies("ntk_mixed", 8, 5, exponent=1), ntk_frequencies("ntk_fixed", 8, 5))
    # The slowest pair of the aware kind is interpolated, and its fastest left alone.
    aware = ntk_frequencies("ntk_aware", 64, 8)
    assert (aware[0], aware[-1]) == (1, pytest.approx(rotary_frequencies(64)[-1].item() / 8, rel=1e-12))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ntk", 8, 2), "kind must be one of .*got 'ntk'"),
        (("ntk_old", 8, 0), "factor must be positive, got 0"),
        (("ntk_old", 7, 2), "dim must be even.*7"),
        (("ntk_aware", 2, 2), "dim must be at least 4.*got 2"),
    ],
)
def test_frequencies_that_cannot_be(arguments: tuple[str, int, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ntk_frequencies(*arguments)


def test_scores_are_golden(io: dict[str, Tensor]) -> None:
    query, key = io["query"], io["key"]
    length = query.shape[2]
    places = torch.arange(length)[None]
    found = {
        "rope": turned(query, places) @ turned(key, places).mT,
        "ntk_mixed_0.625": turned(query, places, io["frequencies.ntk_mixed_0.625"])
        @ turned(key, places, io["frequencies.ntk_mixed_0.625"]).mT,
        "rerope": rerope_scores(query, key, rerope_maps(places, places, 8, 5)),
        "leaky_rerope": rerope_scores(query, key, rerope_maps(places, places, 8, 5, 4.0)),
        "key_norm": turned(query, places) @ turned(torch.nn.functional.normalize(key, dim=-1), places).mT,
    }
    found["xpos_causal"] = (found["rope"] * xpos_decay(distances(length), 0.98)).tril()
    for name, scores in found.items():
        wanted = io[f"scores.{name}"]
        torch.testing.assert_close(scores, wanted.tril() if name == "xpos_causal" else wanted, **CLOSE)


def test_biases_are_golden(io: dict[str, Tensor]) -> None:
    distance = distances(16)
    slopes = torch.tensor(alibi_slopes(4), dtype=torch.float64)
    torch.testing.assert_close(slopes, io["alibi.slopes"], **CLOSE)
    torch.testing.assert_close(alibi_bias(distance, slopes), io["bias.alibi"], **CLOSE)
    scale, rate, one = (torch.tensor([x], dtype=torch.float64) for x in (0.7, 1.3, 1.0))
    for kind in ("power", "log"):
        torch.testing.assert_close(kerple_bias(distance, scale, rate, kind)[0], io[f"bias.kerple_{kind}"], **CLOSE)
    torch.testing.assert_close(sandwich_bias(distance, one, 8)[0], io["bias.sandwich"], **CLOSE)
    with pytest.raises(ValueError, match=r"kind must be .*got 'sum'"):
        kerple_bias(distance, scale, rate, "sum")


def test_slopes_of_heads_that_are_no_power_of_two() -> None:
    """Of 12 heads: those of 8, and then every other one of 16."""
    assert alibi_slopes(12) == [2.0**-h for h in range(1, 9)] + [2.0 ** -(h / 2) for h in (1, 3, 5, 7)]
    assert alibi_slopes(1) == [2.0**-8]


@pytest.mark.parametrize("kind", ["power", "log"])
def test_gradients_of_kerple(kind: str) -> None:
    scale, rate = (torch.tensor([0.3, 1.2], dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda s, r: kerple_bias(distances(4), s, r, kind), (scale, rate))


def test_factors_are_golden(io: dict[str, Tensor]) -> None:
    counts = torch.arange(1, 17)
    torch.testing.assert_close(log_n_factor(counts, 1, 8), io["log_n.encoder"], **CLOSE)
    torch.testing.assert_close(log_n_factor(counts, 8, 8), io["log_n.after_training"], **CLOSE)
    with pytest.raises(ValueError, match="base must be at least 2, got 1"):
        log_n_factor(counts, 1, 1)


def test_decay_neither_grows_nor_overflows() -> None:
    decay = xpos_decay(torch.tensor([-100_000, 0, 100_000]), 0.98)
    assert decay.tolist() == [1, 1, pytest.approx(0)]


@pytest.mark.parametrize("window", [1, 3, 20])
@pytest.mark.parametrize("step", [math.inf, 4.0, 1 / 16, 1.0])
def test_merged_maps_are_each_pair_by_its_own_distance(window: int, step: float) -> None:
    query, key, _ = heads(11)
    distance = distances(11).double()
    far = distance.sign() * (window + (distance.abs() - window) / step)
    limited = torch.where(distance.abs() < window, distance, far)
    places = torch.arange(11)[None]
    wanted = scores_by_distance(query, key, limited)
    # A row of floats is as good, and where it begins does not matter.
    for row in (places, places + 0.25, places + 1000):
        found = rerope_scores(query, key, rerope_maps(row, row, 8, window, step))
        torch.testing.assert_close(found, wanted, atol=1e-9, rtol=0)
        found = rerope_scores(query, key, rerope_maps(row, row, 8, window, step, causal=True))
        torch.testing.assert_close(found.tril(), wanted.tril(), atol=1e-9, rtol=0)
    if step == 1 or window > 10:
        plain = turned(query, places) @ turned(key, places).mT
        torch.testing.assert_close(wanted, plain, atol=1e-9, rtol=0)


@pytest.mark.parametrize("window", [1, 3, 20])
@pytest.mark.parametrize("step", [math.inf, 4.0, 1 / 16])
@pytest.mark.parametrize("length", [1, 4, 11])
def test_one_step_is_the_last_row(window: int, step: float, length: int) -> None:
    query, key, _ = heads(length)
    places = torch.arange(length)[None]
    wanted = rerope_scores(query, key, rerope_maps(places, places, 8, window, step, causal=True))[:, :, -1:]
    found = rerope_step_scores(query[:, :, -1:], key, rerope_step(length, 8, window, step))
    torch.testing.assert_close(found, wanted, atol=1e-9, rtol=0)


def test_windows_are_golden(io: dict[str, Tensor]) -> None:
    assert torch.equal(window_mask(16, 16, 5, causal=True), io["mask.window_causal"])
    assert torch.equal(window_mask(16, 16, 5, causal=False), io["mask.window_bidirectional"])


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("window", [1, 2, 5, 40, 100])
@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (1, 50), (7, 50), (33, 33), (97, 97)])
@pytest.mark.parametrize("grouped", [True, False])
def test_windows_by_blocks(causal: bool, window: int, queries: int, keys: int, grouped: bool) -> None:
    """Outputs and gradients are those of all scores with a mask; sizes that fill no block, cached keys, documents."""
    query, key, value = (x.requires_grad_() for x in heads(keys, 4))
    groups = torch.stack([torch.arange(keys) // 9, torch.where(torch.arange(keys) < 5, -1, 0)]) if grouped else None
    inputs = query[:, :, keys - queries :], key, value[..., :3], window, causal, groups, 0.5
    found, wanted = window_attention(*inputs), naive_window_attention(*inputs)[0]
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)
    weights = torch.randn(found.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    gradients = [torch.autograd.grad((x * weights).sum(), (query, key, value)) for x in (found, wanted)]
    for one, other in zip(*gradients):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=0)


def test_windows_take_memory_in_the_length() -> None:
    """No tensor has as many elements as there are pairs."""
    from torch.utils._python_dispatch import TorchDispatchMode

    largest = 0

    class Sizes(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            for x in out if isinstance(out, tuple | list) else (out,):
                largest = max(largest, x.numel()) if isinstance(x, Tensor) else largest
            return out

    length = 4096
    x = torch.zeros(1, 1, length, 2)
    with Sizes():
        window_attention(x, x, x, 16, True)
    assert 0 < largest < length * 128


@pytest.mark.parametrize("reach", [(None, None), (None, 0), (2, 2), (3, 0)])
def test_keys_are_counted_as_in_a_mask(reach: tuple[int | None, int | None]) -> None:
    groups = torch.tensor([[0, 0, 0, 1, 1, 2, 2, 2], [-1, -1, 0, 0, 0, 0, -1, 0], [0, 0, 0, 0, 0, -1, -1, -1]])
    left, right = (9 if x is None else x for x in reach)
    distance = distances(8)
    seen = (groups[:, :, None] == groups[:, None]) & (distance <= left) & (distance >= -right)
    wanted = seen.sum(-1)
    for queries in (8, 3):
        found = key_counts(groups, queries, *reach)
        real = groups[:, 8 - queries :] >= 0
        assert torch.equal(found[real], wanted[:, 8 - queries :][real])
        assert found.min() >= 1
