"""Norms against their formulas, the original layer and the extremes of half precision."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hf_ext.modules.norm import UncenteredNorm, make_norm


@pytest.mark.parametrize("shape", [(1, 1), (3, 5, 7), (2, 17, 32)])
@pytest.mark.parametrize("eps", [1e-7, 1e-3])
def test_formula(shape: tuple[int, ...], eps: float) -> None:
    x = torch.randn(shape, dtype=torch.float64)
    wanted = x / (x.square().mean(-1, keepdim=True) + eps).sqrt()
    torch.testing.assert_close(UncenteredNorm(eps)(x), wanted, atol=1e-14, rtol=0)


def test_gradient() -> None:
    x = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(UncenteredNorm(), x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("scale", [0.0, 1e-6, 1.0, 3e4])
def test_extremes(dtype: torch.dtype, scale: float) -> None:
    x = (torch.linspace(-1, 1, 32) * scale).to(dtype)[None].requires_grad_()
    out = UncenteredNorm()(x)
    exact = UncenteredNorm()(x.detach().double())
    assert out.dtype == dtype
    torch.testing.assert_close(out.double(), exact, atol=1e-6, rtol=2 * torch.finfo(dtype).eps)
    out.float().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("name", ["x", "x_tiny", "x_zero_row"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-5), (torch.float32, 2e-5)])
def test_original_layer(golden: Path, name: str, dtype: torch.dtype, tolerance: float) -> None:
    io = np.load(golden / "layers" / "io.npz")
    x = torch.from_numpy(io[name]).to(dtype)
    np.testing.assert_allclose(
        UncenteredNorm(1e-7)(x).numpy(), io[f"layernorm_rms_plain_out_{name}"], atol=tolerance, rtol=0
    )
    norm = make_norm("layer_norm", x.shape[-1], 1e-12).to(dtype)
    assert isinstance(norm, nn.LayerNorm)
    parameters = {"weight": io["layernorm_eps1e-12_w_gamma"], "bias": io["layernorm_eps1e-12_w_beta"]}
    norm.load_state_dict({name: torch.from_numpy(value) for name, value in parameters.items()})
    np.testing.assert_allclose(norm(x).detach().numpy(), io[f"layernorm_eps1e-12_out_{name}"], atol=tolerance, rtol=0)


def test_make_norm() -> None:
    norm = make_norm("rms_norm", 8, 1e-5)
    assert isinstance(norm, UncenteredNorm)
    assert norm.eps == 1e-5
    assert not list(norm.parameters())
    assert "1e-05" in repr(norm)
    with pytest.raises(ValueError, match="got 'batch_norm'"):
        make_norm("batch_norm", 8, 1e-5)
