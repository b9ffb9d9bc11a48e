"""How weights begin: against the numbers of `golden/initialization`, the variances asked for, and blocks by hand."""

import copy
import json
import math

import numpy as np
import peft
import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, GPT2Config, GPT2Model

import hf_ext
from hf_ext.conversion.errors import ConversionError
from hf_ext.modules import (
    NTKForm,
    deepnorm_constants,
    from_ntk_form,
    initialize_,
    second_moment,
    set_residual_scale,
    to_ntk_form,
    truncated_normal_,
    truncated_std,
)
from hf_ext.modules.transformer_block import ResidualOutput


@pytest.fixture(scope="module")
def io(golden):
    with np.load(golden / "initialization" / "io.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def roformer(**fields):
    sizes = {"hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(0)
    return hf_ext.RoFormerForMaskedLM(hf_ext.RoFormerConfig(**{"vocab_size": 30, **sizes, **fields})).eval()


def test_numbers_of_cut_distributions(io):
    for bound, variance, std, factor in zip(
        io["truncation"], io["truncated_variance"], io["truncated_std"], io["std_factor"]
    ):
        assert truncated_std(float(bound)) ** 2 == pytest.approx(float(variance), abs=1e-7)
        assert truncated_std(float(bound)) == pytest.approx(float(std), abs=1e-7)
        assert 1 / truncated_std(float(bound)) == pytest.approx(float(factor), abs=1e-7)


def test_second_moments_of_activations(golden, io):
    names = json.loads((golden / "initialization" / "meta.json").read_text())["activations"]
    functions = {"swish": "silu", "squared_relu": lambda x: x.relu().square()}
    for name, moment in zip(names, io["second_moments"]):
        assert second_moment(functions.get(name, name)) == pytest.approx(float(moment), abs=1e-7)
    # SELU is what keeps the moment.
    assert second_moment(nn.functional.selu) == pytest.approx(1, abs=1e-7)
    scale, alpha = (float(x) for x in io["selu"])
    assert second_moment(lambda x: scale * torch.where(x > 0, x, alpha * x.expm1())) == pytest.approx(1, abs=1e-7)


@pytest.mark.parametrize("bound", [2.0, 3.0])
@pytest.mark.parametrize("std", [0.02, 1.5])
def test_what_is_left_has_the_deviation(std, bound):
    drawn = truncated_normal_(torch.empty(200_000), std, bound, seeded())
    assert float(drawn.std()) == pytest.approx(std, rel=0.01)
    assert float(drawn.abs().max()) == pytest.approx(bound * std / truncated_std(bound), rel=0.01)
    assert float(drawn.mean()) == pytest.approx(0, abs=0.01 * std)
    # torch's own bounds are not multiples of it: nothing is cut.
    uncut = nn.init.trunc_normal_(torch.empty(200_000), std=0.02, generator=seeded())
    assert uncut.abs().max() > 0.07
    assert not truncated_normal_(torch.ones(2), 0.0).any()
    for options, message in (({"std": -1}, "std must be at least 0"), ({"bound": 0}, "bound must be above 0")):
        with pytest.raises(ValueError, match=message):
            truncated_normal_(torch.ones(2), **options)


def test_rows_are_nearly_orthogonal(io):
    """Angles of random rows have the variance of random directions, and products 1/n."""
    for n, angles, cosines in zip(io["angle_dims"], io["angle_variance"], io["cosine_variance"]):
        layer = initialize_(nn.Linear(int(n), 1500), "lecun", generator=seeded())
        rows = nn.functional.normalize(layer.weight.detach().double(), dim=1)
        products = (rows @ rows.T)[~torch.eye(1500, dtype=torch.bool)]
        assert float(products.var()) == pytest.approx(float(cosines), rel=0.05)
        # In few dimensions a cut cube is no ball.
        if n >= 10:
            assert float(products.clamp(-1, 1).acos().var()) == pytest.approx(float(angles), rel=0.05)


@pytest.mark.parametrize(
    ("scheme", "options", "variance"),
    [
        ("bert", {}, (0.02 * truncated_std()) ** 2),
        ("lecun", {}, 1 / 400),
        ("xavier", {}, 2 / 700),
        ("he", {}, 2 / 400),
        ("he", {"activation": "gelu"}, 1 / 400 / second_moment("gelu")),
    ],
)
def test_variances(scheme, options, variance):
    model = nn.Sequential(nn.Embedding(500, 400, padding_idx=3), nn.LayerNorm(400), nn.Linear(400, 300))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(7)
    assert initialize_(model, scheme, generator=seeded(), **options) is model
    model.requires_grad_(False)
    embedding, norm, linear = model
    assert float(linear.weight.var()) == pytest.approx(variance, rel=0.02)
    assert float(linear.weight.abs().max()) <= 2.001 * math.sqrt(variance) / truncated_std()
    assert not linear.bias.any()
    assert norm.weight.eq(1).all()
    assert not norm.bias.any()
    assert float(embedding.weight.std()) == pytest.approx(0.02 * truncated_std(), rel=0.02)
    assert not embedding.weight[3].any()
    same = initialize_(copy.deepcopy(model), scheme, generator=seeded(), **options)
    torch.testing.assert_close(same.state_dict(), model.state_dict(), rtol=0, atol=0)


def test_he_keeps_the_second_moment_through_layers():
    layers = [nn.Linear(400, 400) for _ in range(6)]
    x = torch.randn(300, 400, generator=seeded())
    for layer in layers:
        x = initialize_(layer, "he", generator=seeded(1))(x.relu() if layer is not layers[0] else x)
    # The first layer is given numbers of mean 0, which ReLU has not halved.
    assert float(x.detach().square().mean()) == pytest.approx(2, rel=0.25)


def test_orthogonal_rows_or_columns():
    for shape in ((3, 5), (5, 3)):
        weight = initialize_(nn.Linear(*shape), "orthogonal").weight.detach()
        short = weight if weight.shape[0] < weight.shape[1] else weight.T
        torch.testing.assert_close(short @ short.T, torch.eye(3))


def test_fused_matrices_and_kernels():
    model = GPT2Model(GPT2Config(vocab_size=10, n_embd=60, n_layer=1, n_head=2, n_positions=8))
    initialize_(model, "xavier", generator=seeded()).requires_grad_(False)
    # Each of query, key and value is 60 to 60; the first of the feed-forward layer is 60 to 240.
    assert float(model.h[0].attn.c_attn.weight.var()) == pytest.approx(2 / 120, rel=0.05)
    assert float(model.h[0].mlp.c_fc.weight.var()) == pytest.approx(2 / 300, rel=0.05)
    initialize_(model, "orthogonal", generator=seeded())
    for part in model.h[0].attn.c_attn.weight.chunk(3, 1):
        torch.testing.assert_close(part @ part.T, torch.eye(60))
    kernel = initialize_(nn.Conv2d(3, 200, 5), "lecun", generator=seeded()).weight.detach()
    assert float(kernel.var()) == pytest.approx(1 / 75, rel=0.05)


def test_tied_matrices_begin_as_embeddings():
    model = roformer(vocab_size=900)
    initialize_(model, "lecun").requires_grad_(False)
    assert model.cls.predictions.decoder.weight is model.roformer.embeddings.word_embeddings.weight
    assert float(model.cls.predictions.decoder.weight.std()) == pytest.approx(0.02 * truncated_std(), rel=0.05)


@pytest.mark.parametrize(
    ("optimizer", "alpha", "factor"),
    [("adam", 6**0.5, 6**-0.5), ("sgd", 6**0.25, 6**-0.25), ("lamb", 1.0, 6**-0.5), ("paper", 6**0.25, 24**-0.25)],
)
def test_deepnorm(optimizer, alpha, factor, tmp_path):
    assert deepnorm_constants(6, optimizer) == pytest.approx((alpha, factor))
    model = roformer()
    plain = initialize_(copy.deepcopy(model), "xavier", generator=seeded())
    initialize_(model, "deepnorm", optimizer, generator=seeded())
    scaled = {"value.weight", "output.dense.weight", "intermediate.dense.weight"}
    changed = 0
    for name, weight in model.named_parameters():
        mine = "layer" in name and any(name.endswith(one) for one in scaled)
        changed += mine
        wanted = plain.get_parameter(name) * (factor if mine else 1)
        torch.testing.assert_close(weight, wanted)
    assert changed == 12
    assert model.config.residual_scale == alpha
    ids = torch.tensor([[4, 5, 6]])
    wanted = model(ids).logits
    # Saved with the checkpoint, under the type that Transformers' own class does not open unless it is as that one.
    model.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    assert settings["model_type"] == ("roformer" if alpha == 1 else "roformer_v2")
    torch.testing.assert_close(AutoModel.from_pretrained(tmp_path)(ids).last_hidden_state, model.roformer(ids)[0])
    torch.testing.assert_close(hf_ext.RoFormerForMaskedLM.from_pretrained(tmp_path)(ids).logits, wanted)


def test_a_residual_is_multiplied_before_the_norm():
    config = hf_ext.RoFormerConfig(hidden_size=8, num_attention_heads=2, residual_scale=3.0, hidden_dropout_prob=0.0)
    block = ResidualOutput(config, 8)
    x, residual = torch.randn(2, 2, 4, 8, generator=seeded())
    wanted = nn.functional.layer_norm(3 * residual + block.dense(x), (8,), eps=config.layer_norm_eps)
    torch.testing.assert_close(block(x, residual), wanted)


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_what_post_norm_leaves_of_the_input(scale):
    """After l layers, of the variance, (alpha^2 / (alpha^2 + 1))^l: 2^(-l) where residuals are plain."""
    sizes = {"hidden_size": 256, "num_attention_heads": 2, "norm_type": "rms_norm", "use_bias": False}
    config = hf_ext.RoFormerConfig(residual_scale=scale, hidden_dropout_prob=0.0, **sizes)
    first = x = torch.randn(512, 256, generator=seeded())
    for layer in range(1, 5):
        block = initialize_(ResidualOutput(config, 256), "orthogonal", generator=seeded(layer))
        x = block(torch.randn(512, 256, generator=seeded(10 + layer)), x).detach()
        share = float((first * x).mean() ** 2 / first.square().mean() / x.square().mean())
        assert share == pytest.approx((scale**2 / (scale**2 + 1)) ** layer, rel=0.1)


def test_families_without_post_norm_residuals_refuse_the_scale():
    for kind in ("flash", "gau_alpha", "rope_vit", "token_mixer", "t5_pegasus"):
        with pytest.raises(Exception, match=r"residual_scale must be 1\.0"):
            AutoConfig.for_model(kind, residual_scale=2.0)
    with pytest.raises(Exception, match="residual_scale must be above 0, got 0"):
        hf_ext.RoFormerConfig(residual_scale=0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 8, "vocab_size": 9}
    for model in (
        AutoModel.from_config(AutoConfig.for_model("flash", attention_key_size=4, **sizes)),
        AutoModel.from_config(AutoConfig.for_model("bert", num_attention_heads=2, **sizes)),
        AutoModel.from_config(AutoConfig.for_model("token_mixer", mixer="fnet", **sizes)),
    ):
        with pytest.raises(ValueError, match=f"to have a residual_scale, got {type(model).__name__}"):
            initialize_(model, "deepnorm")
    with pytest.raises(ValueError, match="scale must be above 0, got 0"):
        set_residual_scale(roformer(), 0)


def test_what_has_no_effect_or_place_is_refused():
    layer = nn.Linear(2, 2)
    for options, message in (
        ({"scheme": "kaiming"}, "scheme must be one of bert, .*got 'kaiming'"),
        ({"scheme": "he", "optimizer": "sgd"}, "optimizer has no effect under scheme='he', got 'sgd'"),
        ({"scheme": "lecun", "activation": "gelu"}, "activation has no effect under scheme='lecun', got 'gelu'"),
    ):
        with pytest.raises(ValueError, match=message):
            initialize_(layer, **options)
    with pytest.raises(ValueError, match="optimizer must be one of adam, sgd, lamb, paper, got 'x'"):
        deepnorm_constants(2, "x")
    with pytest.raises(ValueError, match="sublayers must be at least 1, got 0"):
        deepnorm_constants(0)
    for model in (
        to_ntk_form(nn.Sequential(nn.Linear(2, 2))),
        peft.get_peft_model(roformer(), peft.LoraConfig(target_modules=["value"])),
    ):
        with pytest.raises(ValueError, match="must have neither adapters nor parametrisations to be initialised"):
            initialize_(model)


def test_ntk_form():
    model = roformer()
    before, ids = copy.deepcopy(model), torch.tensor([[4, 5, 6]])
    initialize_(before, "lecun", generator=seeded())
    model.load_state_dict(before.state_dict())
    assert to_ntk_form(model) is model
    torch.testing.assert_close(model(ids).logits, before(ids).logits, rtol=1e-4, atol=1e-6)
    layer = model.roformer.encoder.layer[0].intermediate.dense
    assert isinstance(layer.parametrizations.weight[0], NTKForm)
    learnt = layer.parametrizations.weight.original
    assert float(learnt.detach().std()) == pytest.approx(1, rel=0.2)
    torch.testing.assert_close(learnt / 8**0.5, before.roformer.encoder.layer[0].intermediate.dense.weight)
    # A step of Adam's is a part of the weights, whatever the width.
    model(ids).logits.square().sum().backward()
    torch.optim.Adam([learnt], lr=0.01, eps=0).step()
    moved = (layer.weight - before.roformer.encoder.layer[0].intermediate.dense.weight).detach()
    torch.testing.assert_close(moved.abs(), torch.full_like(moved, 0.01 / 8**0.5), rtol=1e-3, atol=0)
    now = model(ids).logits
    assert from_ntk_form(model) is model
    assert model.state_dict().keys() == before.state_dict().keys()
    torch.testing.assert_close(model(ids).logits, now)
    assert model.cls.predictions.decoder.weight is model.roformer.embeddings.word_embeddings.weight
    for change, message in ((from_ntk_form, "got none"), (lambda m: to_ntk_form(to_ntk_form(m)), "some with")):
        with pytest.raises(ValueError, match=message):
            change(model)
    with pytest.raises(ValueError, match="must have plain linear layers to be given the NTK form, got none"):
        to_ntk_form(nn.LayerNorm(2))


def test_originals_know_no_scale_of_residuals(tmp_path):
    set_residual_scale(model := roformer(), 2.0)
    model.save_pretrained(tmp_path)
    with pytest.raises(ConversionError, match=r"residual_scale=2\.0 \(there 1\.0\)"):
        hf_ext.export_release(tmp_path, tmp_path / "out")
