"""Counts of multiplications, against the reference's and those that PyTorch counts while models run."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from models_tiny import FAMILIES, Case, all_cases
from torch.utils.flop_counter import FlopCounterMode

import hf_ext
from hf_ext.analysis import LayerCost, crossovers, head_cost, layer_cost

IO = dict(np.load(Path(__file__).resolve().parents[1] / "golden/costs/io.npz"))
LENGTHS = IO["lengths"].tolist()
SIZES: dict[str, dict[str, Any]] = {
    "base": {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072},
    "small": {"hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 1536},
}
UNIT = {"num_attention_heads": 1, "attention_key_size": 128}


def configs(size: str) -> dict[str, Any]:
    fields = SIZES[size]
    gated = fields | UNIT | {"intermediate_size": 2 * fields["hidden_size"]}
    return {
        "transformer": hf_ext.RoFormerConfig(**fields),
        "linear_x1": hf_ext.LinearRoFormerConfig(**fields),
        # Heads four times as wide have 16 times as many products of features and values.
        "linear_x4": hf_ext.LinearRoFormerConfig(**fields, feature_size=16 * 64),
        "gau": hf_ext.GAUAlphaConfig(**gated),
        "flash": hf_ext.FLASHConfig(**gated, chunk_size=256),
    }


@pytest.mark.parametrize("size", SIZES)
def test_counts_are_those_of_the_reference(size):
    compared = 0
    for name, config in configs(size).items():
        for part in ("projections", "attention", "feed_forward"):
            expected = IO.get(f"{size}/{name}/{part}")
            # There the wide heads of linear attention have projections of the same size.
            if expected is not None and (name, part) != ("linear_x4", "projections"):
                assert [getattr(layer_cost(config, length), part) for length in LENGTHS] == expected.tolist()
                compared += 1
    assert compared == 12


@pytest.mark.parametrize("size", SIZES)
def test_crossovers_are_those_of_the_reference(size):
    found = configs(size)
    plain = crossovers(found["transformer"])
    assert plain.keys() == {"attention", "quadratic", "linear", "wide_linear"}
    assert [*plain.values(), crossovers(found["gau"])["quadratic"]] == IO[f"{size}/crossovers"].tolist()


@pytest.mark.parametrize("name", ["transformer", "gau", "linear_x1", "linear_x4", "flash"])
def test_crossovers_are_where_counts_are_equal(name):
    config = configs("base")[name]
    others = configs("base")["transformer" if name.startswith("linear") else "gau"]
    for kind, length in crossovers(config).items():
        sides = {
            "attention": lambda cost, n: cost.attention + cost.projections - cost.feed_forward,
            "quadratic": lambda cost, n: 2 * cost.attention - cost.total,
            "linear": lambda cost, n: cost.attention - layer_cost(configs("base")["linear_x1"], n).attention,
            "wide_linear": lambda cost, n: cost.attention - layer_cost(configs("base")["linear_x4"], n).attention,
            "softmax": lambda cost, n: layer_cost(others, n).attention - cost.attention,
        }
        step = min(256, int(length) // 2)
        for n, sign in ((int(length) - step, -1), (int(length) + step, 1)):
            assert sign * sides[kind](layer_cost(config, n), n) > 0


def counted_cases():
    for name, variant, case in all_cases():
        # Counted otherwise than run: the transform of FNet, sums that are causal. Of a window nothing is known.
        causal_sums = name in ("linear_roformer", "flash") and "causal" in variant
        left_out = causal_sums or case.fields.get("mixer") == "fnet" or variant == "far"
        if case.auto == "AutoModel" and (case.family.ours or name == "bert") and not left_out:
            yield pytest.param(case, id=f"{name}, {variant}")


def counted(case: Case, layers: int, length: int) -> tuple[Any, int]:
    name = "num_layers" if case.family.paired else "num_hidden_layers"
    case = case._replace(auto="AutoModelForTextEncoding") if case.family.paired else case
    # Latents are of the last layer alone.
    latents = {"num_latent_layers": 1} if "half_length" in case.family.fields else {}
    model = case.make(**{name: layers}, **latents).requires_grad_(False)
    batch = case.batch([length])
    if case.family.images:
        batch = {"pixel_values": torch.zeros(1, 3, 4, 4 * (length - 1), dtype=torch.float64)}
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(**batch)
    return model.config, counter.get_total_flops()


@pytest.mark.parametrize("case", list(counted_cases()))
def test_counts_are_those_that_pytorch_counts(case):
    """What one more layer takes, but for what is left out; at a length that fills chunks."""
    length = 12
    config, one = counted(case, 1, length)
    _, two = counted(case, 2, length)
    left_out = 0
    if case.family.config is hf_ext.LinearRoFormerConfig and config.attention_kernel != "double_softmax":
        # The denominators.
        features = config.resolved_feature_size + (config.attention_kernel == "cosine")
        left_out = length * config.num_attention_heads * features
    if case.family.config is hf_ext.TTAConfig and config.self_mask:
        # What is shown eagerly is made anew.
        left_out = length**2 * config.hidden_size
    if case.family.config is hf_ext.FLASHConfig:
        # The biases of distances, which are products of rotated vectors.
        places = config.chunk_size if config.attention == "mixed_chunk" else length
        left_out = places**2 * config.attention_key_size
    assert layer_cost(config, length).total + left_out == (two - one) // 2


def test_head_is_that_of_the_model():
    for family, fields, head in (
        ("roformer", {}, "AutoModelForMaskedLM"),
        ("roformer", {"embedding_size": 16}, "AutoModelForMaskedLM"),
        ("roformer", {"norm_type": "rms_norm", "use_bias": False}, "AutoModelForMaskedLM"),
        ("gau_alpha", {}, "AutoModelForMaskedLM"),
        ("bert", {}, "AutoModelForMaskedLM"),
        ("t5_pegasus", {}, "AutoModelForSeq2SeqLM"),
    ):
        case = Case(FAMILIES[family], fields, head)
        flops = []
        for one in (case, case._replace(auto="AutoModel")):
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                one.make().requires_grad_(False)(**case.batch([5]))
            flops.append(counter.get_total_flops())
        pooler = case.config().hidden_size ** 2 if family == "bert" else 0
        assert head_cost(case.config(), 5) == (flops[0] - flops[1]) // 2 + pooler


def test_fourier_transform_grows_with_the_logarithm():
    config = hf_ext.TokenMixerConfig(mixer="fnet", hidden_size=64, num_attention_heads=4, intermediate_size=128)
    cost = layer_cost(config, 32)
    assert cost == LayerCost(0, 32 * 64 * (5 + 6), 2 * 32 * 64 * 128)
    assert cost.total == cost.attention + cost.feed_forward
    assert crossovers(config) == {}


@pytest.mark.parametrize(
    ("config", "length", "told"),
    [
        (hf_ext.RoFormerConfig(), 0, "length must be at least 1, got 0"),
        (hf_ext.RoFormerConfig(attention_window=8), 5, "attention_window must not be set"),
        (hf_ext.RoFormerConfig(is_decoder=True, add_cross_attention=True), 5, "add_cross_attention must not be set"),
        (SimpleNamespace(model_type="qwen3"), 5, "config must be of one of the models .*, got qwen3"),
    ],
)
def test_what_is_not_known_is_refused(config, length, told):
    with pytest.raises(ValueError, match=told):
        layer_cost(config, length)
