"""UniVAE against the numbers of `golden/univae`, and against itself written out in one row as the original runs it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hf_ext import UniVAEConfig, UniVAEForTextAutoencoding
from hf_ext.ops.rotary import apply_rotary, rotary_cos_sin

FOLDER = Path(__file__).resolve().parents[2] / "golden" / "univae"
META = json.loads((FOLDER / "meta.json").read_text(encoding="utf-8"))
SIZES = META["sizes"]
T = SIZES["half_length"]
CLOSE: dict[str, Any] = {"atol": META["tolerance"]["float64"], "rtol": 0}

NAMES = {
    "word_embeddings.weight": "roformer.embeddings.word_embeddings.weight",
    "token_type_embeddings.weight": "roformer.embeddings.token_type_embeddings.weight",
    "embeddings.LayerNorm": "roformer.embeddings.LayerNorm",
    "mlm.dense": "cls.predictions.transform.dense",
    "mlm.LayerNorm": "cls.predictions.transform.LayerNorm",
    "mlm.bias": "cls.predictions.bias",
    ".attention.dense": ".attention.output.dense",
    ".attention.LayerNorm": ".attention.output.LayerNorm",
    ".query": ".attention.self.query",
    ".key": ".attention.self.key",
    ".value": ".attention.self.value",
    "layer.": "roformer.encoder.layer.",
    "latent.2": "roformer.encoder.latents.0",
    "latent.3": "roformer.encoder.latents.1",
    ".in.": ".mean.",
    ".out.": ".state.",
}


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    with np.load(FOLDER / "io.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture(scope="module")
def model(golden: dict[str, Tensor]) -> Any:
    config = UniVAEConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=SIZES["layers"],
        num_attention_heads=SIZES["heads"],
        intermediate_size=24,
        num_latent_layers=SIZES["latent_layers"],
        latent_size=SIZES["z_dim"],
        kappa=SIZES["kappa"],
        half_length=T,
    )
    made = UniVAEForTextAutoencoding(config).double().eval()
    state = {}
    for name, value in golden.items():
        if name.startswith("weights."):
            name = name.removeprefix("weights.")
            for theirs, ours in NAMES.items():
                if theirs in name:
                    name = name.replace(theirs, ours)
            state[name] = value
    report = made.load_state_dict(state, strict=False)
    assert not report.unexpected_keys
    assert set(report.missing_keys) == {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
    return made


def halves(golden: dict[str, Tensor]) -> dict[str, Tensor]:
    ids, mask = golden["input_ids"], golden["attention_mask"]
    return {
        "input_ids": ids[:, :T],
        "attention_mask": mask[:, :T],
        "decoder_input_ids": ids[:, T:],
        "decoder_attention_mask": mask[:, T:],
    }


def noise(golden: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    return golden["noise.w"], golden["noise.eps"]


@pytest.mark.parametrize("back_end", ["eager", "sdpa"])
def test_with_drawn_latents(golden: dict[str, Tensor], model: Any, back_end: str) -> None:
    model.set_attn_implementation(back_end)
    with torch.no_grad():
        output = model(**halves(golden), sample=True, noise=noise(golden), output_hidden_states=True)
    torch.testing.assert_close(output.mean, golden["vae.mu"], **CLOSE)
    torch.testing.assert_close(output.z, golden["vae.z"], **CLOSE)
    for number in range(SIZES["layers"] + 1):
        state = torch.cat((output.hidden_states[number], output.decoder_hidden_states[number]), 1)
        torch.testing.assert_close(state, golden[f"vae.hidden.{number}"], **CLOSE)
    torch.testing.assert_close(output.logits, golden["vae.logits"][:, T:], **CLOSE)
    # What the last token of the first half predicts is nothing that this model has a use for.
    torch.testing.assert_close(model.cls(output.hidden_states[-1]), golden["vae.logits"][:, :T], **CLOSE)


def test_the_loss(golden: dict[str, Tensor], model: Any) -> None:
    inputs = halves(golden)
    labels = inputs["decoder_input_ids"].masked_fill(inputs["decoder_attention_mask"] == 0, -100)
    labels[:, 0] = -100
    found = model(**inputs, sample=True, noise=noise(golden), labels=labels)
    # The library's cross-entropy is in float32 or better; here in float64.
    torch.testing.assert_close(found.loss, golden["vae.loss_real_targets"], **CLOSE)
    torch.testing.assert_close(found.losses.sum(), found.loss * (labels != -100).sum())
    # The original's, with padding and the second [CLS] among its targets.
    logits = golden["vae.logits"][:, :-1].log_softmax(-1)
    targets, types = golden["input_ids"][:, 1:], golden["token_type_ids"][:, 1:]
    losses = -logits.gather(-1, targets[..., None])[..., 0]
    torch.testing.assert_close(losses[types == 1].mean(), golden["vae.loss_original"], **CLOSE)


def test_codes_that_are_means(golden: dict[str, Tensor], model: Any) -> None:
    inputs = halves(golden)
    found = model.encode(inputs["input_ids"], inputs["attention_mask"])
    torch.testing.assert_close(found, golden["encoder.mu"], **CLOSE)
    # Later means come from earlier means, not from samples.
    assert not torch.allclose(found, golden["vae.mu"])


def test_codes_that_are_given(golden: dict[str, Tensor], model: Any) -> None:
    inputs = halves(golden)
    own = inputs["decoder_input_ids"], inputs["decoder_attention_mask"]
    with torch.no_grad():
        found = model.decode(golden["decoder.z"], *own)
        torch.testing.assert_close(found, golden["decoder.logits"], **CLOSE)
        torch.testing.assert_close(model.decode(3 * golden["decoder.z"], *own), golden["decoder.logits"], **CLOSE)
        torch.testing.assert_close(model.decode(golden["vae.z"], *own), golden["vae.logits"][:, T:], **CLOSE)


def test_in_float32(golden: dict[str, Tensor], model: Any) -> None:
    single = UniVAEForTextAutoencoding(model.config).eval()
    single.load_state_dict(model.state_dict())
    with torch.no_grad():
        output = single(**halves(golden), sample=True, noise=noise(golden))
    close = {"atol": META["tolerance"]["float32"], "rtol": 0}
    torch.testing.assert_close(output.z.double(), golden["vae.z"], **close)
    torch.testing.assert_close(output.logits.double(), golden["vae.logits"][:, T:], **close)


def masks(types: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """The masks ``[B, 2T, 2T]`` of layers without and with a latent, as the article has them."""
    count = types.cumsum(-1)
    base = (types[:, :, None] == types[:, None]) & (count[:, None] <= count[:, :, None])
    wide = base.clone()
    wide[:, :, 0] = True
    real = real.bool().clone()
    real[:, 0] = True
    return base & real[:, None], wide & real[:, None]


def test_the_masks_of_the_article(golden: dict[str, Tensor]) -> None:
    found = masks(golden["token_type_ids"], golden["attention_mask"])
    for mask, name in zip(found, ("independent", "uniae")):
        assert torch.equal(mask, golden[f"mask.{name}"])


def in_one_row(model: Any, inputs: dict[str, Tensor], given: tuple[Tensor, ...] | None, z: Tensor | None) -> Tensor:
    """Logits ``[B, 2T, V]`` of both halves in one row, a layer after the other: the naive twin."""
    config, own = model.config, model.roformer
    ids = torch.cat((inputs["input_ids"], inputs["decoder_input_ids"]), 1)
    types = torch.cat((torch.zeros_like(inputs["input_ids"]), torch.ones_like(inputs["decoder_input_ids"])), 1)
    real = torch.cat((inputs["attention_mask"], inputs["decoder_attention_mask"]), 1)
    tables = own.embeddings
    x = tables.LayerNorm(tables.word_embeddings.weight[ids] + tables.token_type_embeddings.weight[types])
    size, heads = config.head_size, config.num_attention_heads
    cos, sin = rotary_cos_sin(torch.arange(2 * T)[None], size)
    for number, layer in enumerate(own.encoder.layer):
        upper = number - config.first_latent_layer
        if upper >= 0:
            latent = own.encoder.latents[upper]
            mu = F.normalize(latent.mean(x[:, 0]), dim=-1)
            code = mu
            if given is not None:
                w, normal = given[0][:, upper, None], given[1][:, upper]
                across = normal - (normal * mu).sum(-1, keepdim=True) * mu
                code = w * mu + (1 - w**2).sqrt() * F.normalize(across, dim=-1)
            if z is not None:
                code = F.normalize(z.unflatten(-1, (config.num_latent_layers, -1))[:, upper], dim=-1)
            x = torch.cat((latent.state(code)[:, None], x[:, 1:]), 1)
        seen = masks(types, real)[int(upper >= 0)]
        attention = layer.attention.self
        q, k, v = (part(x).unflatten(-1, (heads, size)) for part in (attention.query, attention.key, attention.value))
        q, k = (apply_rotary(part, cos, sin) for part in (q, k))
        scores = torch.einsum("bind,bjnd->bnij", q, k) / size**0.5
        weights = scores.masked_fill(~seen[:, None], -torch.inf).softmax(-1).nan_to_num(0)
        mixed = torch.einsum("bnij,bjnd->bind", weights, v).flatten(2)
        x = layer.attention.output(mixed, x)
        x = layer.output(layer.intermediate(x), x)
    return model.cls(x)


@pytest.mark.parametrize("kind", ["means", "drawn", "given"])
def test_the_naive_twin(golden: dict[str, Tensor], model: Any, kind: str) -> None:
    """Outputs and gradients at real tokens, and the golden numbers by the twin as well."""
    inputs = halves(golden)
    given = noise(golden) if kind == "drawn" else None
    z = golden["decoder.z"] if kind == "given" else None
    found = []
    for one_row in (True, False):
        model.zero_grad()
        if one_row:
            logits = in_one_row(model, inputs, given, z)[:, T:]
        elif z is not None:
            logits = model.decode(z, inputs["decoder_input_ids"], inputs["decoder_attention_mask"])
        else:
            logits = model(**inputs, sample=kind == "drawn", noise=given).logits
        real = logits[inputs["decoder_attention_mask"].bool()]
        (real.softmax(-1) * torch.linspace(-1, 1, 40, dtype=real.dtype)).sum().backward()
        found.append((real.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}))
    torch.testing.assert_close(found[0], found[1], atol=1e-11, rtol=0)
    if kind != "given":
        assert "roformer.encoder.latents.1.mean.weight" in found[1][1]
