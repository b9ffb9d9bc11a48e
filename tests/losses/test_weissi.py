"""WEISSI against the numbers of `golden/regularizers`, and under scales that change nothing of a network."""

import math

import numpy as np
import pytest
import torch

from hf_ext.losses import WEISSIPenalty, weissi_penalty


@pytest.fixture(scope="module")
def io(golden):
    with np.load(golden / "regularizers" / "io.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file}


@pytest.mark.parametrize(("case", "options"), [("weissi", (0.3, 0.02)), ("weissi_log", (1.0, 0.0))])
def test_values_and_gradients(io, case, options):
    weights = [io[f"weight{n}"].clone().requires_grad_() for n in range(3)]
    value = weissi_penalty(weights, *options)
    value.backward()
    torch.testing.assert_close(value.detach(), io[f"{case}_value"], rtol=0, atol=1e-10)
    for n, weight in enumerate(weights):
        torch.testing.assert_close(weight.grad, io[f"{case}_grad{n}"], rtol=0, atol=1e-10)
    torch.testing.assert_close(WEISSIPenalty(*options)(iter(weights)), value)
    parts = [weissi_penalty(weight, *options) for weight in weights]
    torch.testing.assert_close(sum(parts), value)


def test_scales_of_product_1_change_nothing(io):
    weights, scales = [io[f"weight{n}"] for n in range(3)], io["scales"]
    assert float(scales.prod()) == pytest.approx(1, abs=1e-12)
    scaled = [scale * weight for scale, weight in zip(scales, weights)]
    torch.testing.assert_close(weissi_penalty(scaled, 0.3, 0.02), io["weissi_value"], rtol=0, atol=1e-10)
    # What weight decay is of both, for comparison.
    for given, name in ((weights, "l2_value"), (scaled, "l2_value_shifted")):
        torch.testing.assert_close(sum(w.square().sum() for w in given), io[name])
    other = [2 * weight for weight in weights]
    wanted = io["weissi_value"] + 0.3 * 3 * math.log(2)
    torch.testing.assert_close(weissi_penalty(other, 0.3, 0.02), wanted, rtol=0, atol=1e-10)


def test_a_network_with_biases_takes_the_scales_of_all_layers_before():
    """ReLU: the bias of a layer goes by the product of the scales up to it."""
    generator = torch.Generator().manual_seed(0)
    x, *layers = (torch.randn(4, 4, generator=generator, dtype=torch.float64) for _ in range(4))
    biases = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    scales = torch.tensor([2.0, 5.0, 0.1], dtype=torch.float64)

    def run(layers, biases):
        y = x
        for n, (layer, bias) in enumerate(zip(layers, biases)):
            y = y @ layer + bias
            y = y if n == 2 else y.relu()
        return y

    scaled = [scale * layer for scale, layer in zip(scales, layers)]
    torch.testing.assert_close(run(scaled, biases * scales.cumprod(0)[:, None]), run(layers, biases))
    assert (run(scaled, biases * scales[:, None]) - run(layers, biases)).abs().max() > 0.1
    torch.testing.assert_close(weissi_penalty(scaled, 1.0, 0.1), weissi_penalty(layers, 1.0, 0.1))


@pytest.mark.parametrize("size", [0.0, 1e-3])
def test_below_the_floor_a_matrix_is_left_alone(size):
    weight = torch.full((2, 2), size, dtype=torch.float64, requires_grad=True)
    value = weissi_penalty(weight, 2.0, 0.5, floor=0.01)
    value.backward()
    assert float(value.detach()) == pytest.approx(2 * math.log(0.01) + 0.5 * 4 * size / 0.01)
    assert not weight.grad.any()


def test_gradients_above_the_floor():
    weights = [torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(n)) for n in range(2)]
    weights = [weight.requires_grad_() for weight in weights]
    assert torch.autograd.gradcheck(lambda *w: weissi_penalty(w, 0.7, 0.3), weights)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sums_are_in_float32(dtype):
    weight = torch.full((300, 300), 3.0, dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16):
        value = weissi_penalty(weight, 1.0, 1.0)
    assert value.dtype == torch.float32
    assert float(value) == pytest.approx(math.log(900) + 300, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "weights must be at least one, got none"),
        ((torch.zeros(0, 2),), "weights must be floats, at least one"),
        ((torch.ones(2, 2), -1.0), "scale must be at least 0, got -1.0"),
        ((torch.ones(2, 2), 1.0, -1.0), "sparsity must be at least 0, got -1.0"),
        ((torch.ones(2, 2), 1.0, 1.0, 0.0), "floor must be above 0, got 0.0"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        weissi_penalty(*arguments)
