"""What is UniVAE's own: its latents, generation from them, what is refused, and starting from RoFormer."""

from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from models_tiny import FAMILIES, make
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoConfig, StaticCache

from hf_ext import RoFormerConfig, RoFormerForMaskedLM, UniVAEConfig, UniVAEForTextAutoencoding, UniVAEModel

FAMILY = FAMILIES["univae"]
LATENTS: dict[str, dict[str, Any]] = {
    "points": {"latent": "none"},
    "sphere": {"latent": "vmf"},
    "gaussian": {"latent": "gaussian"},
    "normalised": {"latent": "gaussian", "latent_norm": "batch"},
}
each_latent = pytest.mark.parametrize("fields", LATENTS.values(), ids=LATENTS)
LENGTHS = [9, 4, 2, 6]


def tiny(**fields: Any) -> Any:
    """Three layers, of which two have a latent."""
    settings = FAMILY.fields | {"num_hidden_layers": 3, "num_latent_layers": 2, "latent_size": 5, "bos_token_id": 2}
    return make(UniVAEForTextAutoencoding, UniVAEConfig(**(settings | fields)))


def texts(lengths: list[int] = LENGTHS, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.zeros(len(lengths), max(lengths), dtype=torch.long)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(4, 60, (length,), generator=generator)
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}


def codes(model: Any, count: int = 3) -> Tensor:
    return model.sample_prior(count, torch.Generator().manual_seed(1))


@each_latent
def test_what_codes_are(fields: dict[str, Any]) -> None:
    """Means in evaluation, drawn in training; a latent on a sphere has length 1; the divergence by its definition."""
    model, batch = tiny(**fields), texts()
    with torch.no_grad():
        plain = model(**batch)
        assert torch.equal(plain.z, plain.mean)
        assert torch.equal(model.encode(**batch), plain.z)
        drawn = [model(**batch, sample=True).z for _ in range(2)]
        assert torch.equal(*drawn) == (fields["latent"] == "none")
        assert plain.z.shape == (4, 10)
        assert (plain.log_variance is not None) == (fields["latent"] == "gaussian")
    if fields["latent"] == "vmf":
        for z in (plain.z, *drawn):
            torch.testing.assert_close(z.unflatten(-1, (2, 5)).norm(dim=-1), torch.ones(4, 2).double())
        assert plain.kl.unique().numel() == 1
    elif fields["latent"] == "none":
        assert plain.kl is None
    else:
        normal = torch.distributions.Normal
        own = normal(plain.mean, (plain.log_variance / 2).exp())
        wanted = torch.distributions.kl_divergence(
            own, normal(torch.zeros_like(plain.mean), torch.ones_like(plain.mean))
        )
        torch.testing.assert_close(plain.kl, wanted.sum(-1))


@each_latent
def test_the_loss_of_parts_adds_up(fields: dict[str, Any]) -> None:
    model, batch = tiny(**fields, **({"kl_weight": 0.5} if fields["latent"] == "gaussian" else {})), texts()
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    labels[:, 0] = -100
    whole = model(**batch, labels=labels)
    count = int((labels != -100).sum())
    parts = [
        model(**{k: v[i : i + 1] for k, v in batch.items()}, labels=labels[i : i + 1], num_items_in_batch=count).loss
        for i in range(4)
    ]
    torch.testing.assert_close(sum(parts), whole.loss)
    logits = whole.logits[:, :-1]
    nll = F.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), reduction="sum")
    torch.testing.assert_close(whole.losses.sum(), nll)
    kl = 0.5 * whole.kl.sum() if fields["latent"] == "gaussian" else 0
    torch.testing.assert_close(whole.loss, (nll + kl) / count)


def test_the_divergence_in_training() -> None:
    """Its warm-up counts while training, and the geometric one is the distance that the article names."""
    model, batch = tiny(latent="gaussian", kl="geometric", hidden_dropout_prob=0.0), texts()
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    output = model(**batch, labels=labels)
    deviation = (output.log_variance / 2).exp()
    torch.testing.assert_close(output.kl, (output.mean**2 + (deviation - 1) ** 2).sum(-1))
    model.kl_factor = 0.25
    torch.testing.assert_close(model(**batch, labels=labels).loss, output.loss)
    model.train()
    asked = (labels[:, 1:] != -100).sum()
    found = model(**batch, labels=labels, sample=False)
    torch.testing.assert_close(found.loss, (found.losses.sum() + 0.25 * found.kl.sum()) / asked)


def test_normalised_posteriors_tell_texts_apart() -> None:
    """In training the second moments of each unit add up to 1, of which its means have tau; then running ones serve."""
    model = tiny(latent="gaussian", latent_norm="batch", batch_norm_tau=0.3).train()
    batch = texts([5] * 64)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.no_grad():
        for latent in model.roformer.encoder.latents:
            latent.norm.theta.zero_()
        output = model(**batch, sample=False)
        second, variance = output.mean.square().mean(0), output.log_variance.exp().mean(0)
        torch.testing.assert_close(second + variance, torch.ones_like(second), atol=1e-5, rtol=0)
        torch.testing.assert_close(second, torch.full_like(second, 0.3 + 0.7 / 2), atol=1e-5, rtol=0)
        assert (output.kl.mean() > 10 * 0.3 / 2).all()
        assert any(not torch.equal(before[name], buffer) for name, buffer in model.named_buffers())
        model.eval()
        alone = model(batch["input_ids"][:1]).mean
        torch.testing.assert_close(alone, model(**batch).mean[:1])
    model.train()
    with pytest.raises(ValueError, match=r'latent_norm="batch" needs at least two texts a batch in training, got 1'):
        model(batch["input_ids"][:1])


def test_normalised_posteriors_in_half_precision() -> None:
    for dtype in (torch.bfloat16, torch.float16):
        model = tiny(latent="gaussian", latent_norm="batch").to(dtype)
        before = {name: buffer.clone() for name, buffer in model.named_buffers()}
        for training in (True, False):
            output = model.train(training)(**texts())
            assert output.mean.dtype == torch.float32
            assert output.kl.isfinite().all()
            assert output.logits.isfinite().all()
        for name, buffer in model.named_buffers():
            assert buffer.dtype in (dtype, torch.long)
            assert torch.equal(buffer, before[name]) == (buffer.dtype == torch.long)


def test_training_compiles() -> None:
    """The whole of a step in one graph, with drawn latents, and the same loss by the same noise."""
    torch._dynamo.reset()
    for fields in ({"latent": "vmf"}, {"latent": "gaussian"}):
        model, batch = tiny(num_hidden_layers=2, num_latent_layers=1, **fields).train(), texts()
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        compiled = torch.compile(model, fullgraph=True, backend="eager")
        found = []
        for one in (model, compiled):
            torch.manual_seed(1)
            found.append(one(**batch, labels=labels).loss)
            assert found[-1].requires_grad
        torch.testing.assert_close(*found)


def test_running_statistics_are_saved(tmp_path: Path) -> None:
    model = tiny(latent="gaussian", latent_norm="batch").float().train()
    model(**texts())
    model.eval().save_pretrained(tmp_path)
    again, report = UniVAEForTextAutoencoding.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    torch.testing.assert_close(again.encode(**texts()), model.encode(**texts()), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("kind", "back_end", "latents"),
    [("sphere", "eager", 2), ("sphere", "sdpa", 3), ("gaussian", "eager", 3), ("normalised", "sdpa", 2)],
)
def test_generation_with_a_cache(kind: str, back_end: str, latents: int) -> None:
    """Greedy, by beams and from beginnings of several tokens, with a cache and without; greedy also step by step."""
    model = tiny(num_latent_layers=latents, half_length=8, **LATENTS[kind])
    model.set_attn_implementation(back_end)
    z = codes(model)
    # Else one token may win all steps.
    model.cls.predictions.bias.data.normal_(std=2, generator=torch.Generator().manual_seed(3))
    begun = torch.tensor([[2, 7, 9], [2, 5, 5], [2, 30, 31]])
    for settings in ({}, {"num_beams": 3}, {"decoder_input_ids": begun}, {"num_beams": 2, "num_return_sequences": 2}):
        found = [
            model.generate(z=z, do_sample=False, pad_token_id=0, use_cache=use_cache, **settings)
            for use_cache in (True, False)
        ]
        assert torch.equal(*found)
        assert found[0].shape[1] == model.config.half_length
    ids = torch.full((3, 1), 2)
    with torch.no_grad():
        while ids.shape[1] < model.config.half_length:
            ids = torch.cat((ids, model.decode(z, ids)[:, -1:].argmax(-1)), 1)
    assert torch.equal(model.generate(z=z, do_sample=False, pad_token_id=0), ids)


def test_steps_with_a_cache_give_the_logits_of_the_whole() -> None:
    """Also several tokens at once, and rows that begin further right."""
    for back_end in ("eager", "sdpa"):
        for latents in (1, 3):
            model = tiny(num_latent_layers=latents)
            model.set_attn_implementation(back_end)
            z, ids = codes(model), texts([7, 7, 7])["input_ids"]
            mask = torch.ones_like(ids)
            mask[1, :2] = 0
            with torch.no_grad():
                whole = model.decode(z, ids, mask)
                cache, parts = None, []
                for begin, end in ((0, 3), (3, 4), (4, 7)):
                    output = model(
                        z=z,
                        decoder_input_ids=ids[:, begin:end],
                        decoder_attention_mask=mask[:, :end],
                        cache=cache,
                        use_cache=True,
                    )
                    cache = output.cache
                    parts.append(output.logits)
            real = mask.bool()
            torch.testing.assert_close(torch.cat(parts, 1)[real], whole[real], atol=1e-11, rtol=0)
            lengths = [layer.get_seq_length() for layer in cache.layers]
            assert lengths == [7] * (3 - latents) + [8] * latents


@pytest.mark.parametrize("unpad", [False, True])
def test_each_text_alone(unpad: bool) -> None:
    """Text and decoder in batches padded on either side, against each alone; other tokens than the text's own too."""
    model = tiny(unpad=unpad)
    batch, other = texts(), texts([3, 8, 1, 5], seed=1)
    for side in ("right", "left"):
        inputs = {name: value if side == "right" else shifted(value) for name, value in batch.items()}
        own = {f"decoder_{name}": value if side == "right" else shifted(value) for name, value in other.items()}
        with torch.no_grad():
            together = model(**inputs, **own)
            for row in range(4):
                ids = batch["input_ids"][row : row + 1, : LENGTHS[row]]
                written = other["input_ids"][row : row + 1, : int(other["attention_mask"][row].sum())]
                alone = model(input_ids=ids, decoder_input_ids=written)
                torch.testing.assert_close(together.z[row], alone.z[0], atol=1e-11, rtol=0)
                real = own["decoder_attention_mask"][row].bool()
                torch.testing.assert_close(together.logits[row][real], alone.logits[0], atol=1e-11, rtol=0)


def shifted(rows: Tensor) -> Tensor:
    """The same rows, padded on the left."""
    return torch.stack([row.roll(int((row == 0).sum())) for row in rows])


def test_the_decoder_knows_the_text_by_its_code_alone() -> None:
    model, batch, other = tiny(), texts(), texts(seed=5)
    own = {"decoder_input_ids": batch["input_ids"], "decoder_attention_mask": batch["attention_mask"]}
    with torch.no_grad():
        coded = model(**batch)
        assert torch.equal(model(z=coded.z, **own).logits, model.decode(coded.z, *own.values()))
        torch.testing.assert_close(model.decode(coded.z, *own.values()), coded.logits, atol=1e-12, rtol=0)
        assert not torch.allclose(model(**other, **own).logits, coded.logits)
        # Causal: what comes later changes no bit.
        changed = own["decoder_input_ids"].clone()
        changed[:, 5:] = 8
        found = model.decode(coded.z, changed)
        plain = model.decode(coded.z, own["decoder_input_ids"])
        assert torch.equal(found[:, :5], plain[:, :5])
        assert not torch.equal(found[:, 5:], plain[:, 5:])
        # Of the latents each is read, and none below the layer that it stands before.
        states = model.roformer.decode(coded.z, batch["input_ids"], output_hidden_states=True).hidden_states
        moved = coded.z.clone()
        moved[:, 5:] = -moved[:, 5:]
        others = model.roformer.decode(moved, batch["input_ids"], output_hidden_states=True).hidden_states
        assert [torch.equal(a, b) for a, b in zip(states, others)] == [True, True, True, False]
        assert all(state.shape == (4, 9, 32) for state in states)


def test_packed_texts_have_a_code_each() -> None:
    model, batch = tiny().roformer, texts()
    real = batch["attention_mask"].bool()
    places = torch.cat([torch.arange(length) for length in LENGTHS])[None]
    with torch.no_grad():
        wanted = model(**batch)
        found = model(batch["input_ids"][real][None], position_ids=places)
    torch.testing.assert_close(found.z, wanted.z, atol=1e-12, rtol=0)
    torch.testing.assert_close(found.last_hidden_state[0], wanted.last_hidden_state[real], atol=1e-12, rtol=0)


@each_latent
def test_ways_between_codes(fields: dict[str, Any]) -> None:
    model = tiny(**fields)
    first, second = codes(model, 2).split(1)
    way = model.interpolate(first, second, 4)
    assert way.shape == (4, 1, 10)
    torch.testing.assert_close(way[0], first)
    torch.testing.assert_close(way[-1], second)
    steps = way.diff(dim=0).unflatten(-1, (2, 5)).norm(dim=-1)
    torch.testing.assert_close(steps, steps[:1].expand_as(steps))
    if fields["latent"] == "vmf":
        torch.testing.assert_close(way.unflatten(-1, (2, 5)).norm(dim=-1), torch.ones(4, 1, 2).double())
        with pytest.raises(ValueError, match="opposite latents"):
            model.interpolate(first, -first)
    torch.testing.assert_close(model.interpolate(first, first), first.expand(5, 1, 10))
    with pytest.raises(ValueError, match="steps must be at least 2, the two ends, got 1"):
        model.interpolate(first, second, 1)


def test_swaps() -> None:
    model = tiny()
    first, second = codes(model, 4).split(2)
    for layers in (1, [1], -1, [-1]):
        wanted = torch.cat((first[:, :5], second[:, 5:]), -1)
        torch.testing.assert_close(model.swap(first, second, layers), wanted)
    torch.testing.assert_close(model.swap(first, second, [0, 1]), second)
    for wrong in (2, -3, []):
        with pytest.raises(ValueError, match=r"layers must be numbers in \[-2, 2\), got"):
            model.swap(first, second, wrong)


@each_latent
def test_the_prior(fields: dict[str, Any]) -> None:
    model = tiny(**fields)
    z = model.sample_prior(4000, torch.Generator().manual_seed(0))
    assert torch.equal(z, model.sample_prior(4000, torch.Generator().manual_seed(0)))
    assert not torch.equal(model.sample_prior(3), model.sample_prior(3))
    second = 1 / 5 if fields["latent"] == "vmf" else 1.0
    torch.testing.assert_close(z.mean(0), torch.zeros(10).double(), atol=0.07, rtol=0)
    torch.testing.assert_close(z.square().mean(0), torch.full((10,), second).double(), atol=0.1, rtol=0)
    with pytest.raises(ValueError, match="texts must be at least 1, got 0"):
        model.sample_prior(0)


def test_draws_around_means() -> None:
    for fields in LATENTS.values():
        model = tiny(**fields)
        output = model(**texts())
        found = [
            model.draw(output.mean, output.log_variance, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
        ]
        assert torch.equal(found[0], found[1])
        assert torch.equal(found[0], found[2]) == (fields["latent"] == "none")
    with pytest.raises(ValueError, match="log_variance must be given"):
        model.draw(output.mean)


def test_what_a_model_refuses() -> None:
    model, batch = tiny(), texts()
    long = texts([17])["input_ids"]
    z = codes(model)
    cases: list[tuple[str, Any]] = [
        (r"input_ids must have at most half_length=16 tokens a text, got 17", lambda: model(long)),
        (
            r"inputs_embeds must have at most half_length=16",
            lambda: model(inputs_embeds=torch.zeros(1, 17, 32).double()),
        ),
        (r"decoder_input_ids must have at most half_length=16 .* got 17", lambda: model.decode(z[:1], long)),
        (
            r"input_ids must have at most half_length=16 tokens a text, got 17",
            lambda: model.roformer(long.repeat(1, 2), position_ids=torch.arange(17).repeat(2)[None]),
        ),
        (r"z must have shape \[4, 10\]", lambda: model(z=z, decoder_input_ids=batch["input_ids"])),
        (r"z must have shape \[B, 10\], .* got \[3, 9\]", lambda: model.generate(z=z[:, :9])),
        ("give either a text .* or its z, got both", lambda: model(**batch, z=z)),
        ("give either texts .* or z, got neither", lambda: model.generate()),
        ("give either texts .* or z, got both", lambda: model.generate(batch["input_ids"], z=z)),
        ("attention_mask goes with texts", lambda: model.generate(z=z, attention_mask=batch["attention_mask"])),
        ("at most half_length=16 tokens, got max_length=17", lambda: model.generate(z=z, max_length=17)),
        ("got max_new_tokens=16 behind 1", lambda: model.generate(z=z, max_new_tokens=16)),
        ("token_type_ids must be 0", lambda: model(**batch, token_type_ids=torch.ones_like(batch["input_ids"]))),
        ("noise goes with sample=True", lambda: model(**batch, noise=(z, z))),
        (
            "cache must be a DynamicCache, .* got a StaticCache",
            lambda: model(
                z=z,
                decoder_input_ids=z[:, :1].long(),
                cache=StaticCache(model.config, max_cache_len=16),
                use_cache=True,
            ),
        ),
        (
            "assisted generation|assistant",
            lambda: model.generate(z=z[:1], assistant_model=model),
        ),
        (r"attention_mask must have shape \[B, L\]", lambda: model(batch["input_ids"], torch.ones(4, 1, 9, 9))),
    ]
    for message, call in cases:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="unexpected keyword arguments"):
        model(**batch, past=1)
    without = tiny(bos_token_id=None)
    with pytest.raises(ValueError, match="bos_token_id must be the token that texts begin with"):
        without.generate(z=z)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"latent_size": 2}, "latent_size must be at least 3 on a sphere"),
        ({"latent": "gaussian", "latent_size": 0}, "latent_size must be at least 1, got 0"),
        ({"kappa": 0.0}, "kappa must be positive"),
        ({"latent": "vq"}, "latent must be one of"),
        ({"num_latent_layers": 3}, r"num_latent_layers must be in \[1, num_hidden_layers=2\], got 3"),
        ({"num_latent_layers": 0}, "num_latent_layers must be in"),
        ({"half_length": 1}, "half_length must be at least 2"),
        ({"type_vocab_size": 1}, "type_vocab_size must be at least 2"),
        ({"kl": "geometric"}, 'kl goes with latent="gaussian"'),
        ({"kl_weight": 0.5}, 'kl_weight goes with latent="gaussian"'),
        ({"latent_norm": "batch", "latent": "none"}, 'latent_norm goes with latent="gaussian"'),
        ({"latent": "gaussian", "latent_norm": "layer"}, "latent_norm must be one of"),
        ({"latent": "gaussian", "kl": "mmd"}, "kl must be one of"),
        ({"latent": "gaussian", "kl_weight": -1.0}, "kl_weight must be at least 0"),
        ({"batch_norm_tau": 1.0}, "batch_norm_tau must be in"),
        ({"attention_mode": "unilm"}, "attention_mode must be 'bidirectional'"),
        ({"is_decoder": True}, "is_decoder must be False"),
        ({"rotary_value": True}, "rotary_value must be False"),
        ({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}}, "rope_type must be default"),
        ({"hidden_size": 36, "num_attention_heads": 4}, "even size to rotate"),
    ],
)
def test_what_a_config_refuses(fields: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, StrictDataclassError), match=message):
        UniVAEConfig(**(FAMILY.fields | fields))


def test_a_stretched_context_that_is_set_later() -> None:
    model = tiny()
    model.config.rope_parameters = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}
    with pytest.raises(ValueError, match="rope_type must be default"):
        model(**texts())


@pytest.mark.parametrize("fields", [{}, {"norm_type": "rms_norm", "use_bias": False}], ids=["v1", "v2"])
def test_from_roformer(fields: dict[str, Any], tmp_path: Path) -> None:
    """Blocks, embeddings and the head over the vocabulary are RoFormer's; only the latents are new."""
    sizes = {
        name: value
        for name, value in FAMILY.fields.items()
        if name not in UniVAEConfig.__annotations__ or name == "vocab_size"
    }
    source = make(RoFormerForMaskedLM, RoFormerConfig(**sizes, **fields), dtype=torch.float32)
    source.save_pretrained(tmp_path / "roformer")
    model, report = UniVAEForTextAutoencoding.from_pretrained(
        tmp_path / "roformer", num_latent_layers=1, latent_size=4, half_length=12, output_loading_info=True
    )
    assert report["missing_keys"]
    assert all(".latents." in name for name in report["missing_keys"])
    assert not report["unexpected_keys"]
    for name, weight in source.named_parameters():
        assert torch.equal(model.get_parameter(name), weight)
    model.save_pretrained(tmp_path / "univae")
    config: Any = AutoConfig.from_pretrained(tmp_path / "univae")
    assert type(config) is UniVAEConfig
    assert (config.model_type, config.half_length, config.max_position_embeddings) == ("univae", 12, 12)
    batch = texts()
    torch.testing.assert_close(
        UniVAEForTextAutoencoding.from_pretrained(tmp_path / "univae").encode(**batch), model.encode(**batch)
    )


def test_codes_without_the_last_block() -> None:
    model = tiny().roformer
    assert isinstance(model, UniVAEModel)
    with torch.no_grad():
        short, whole = model(**texts(), codes_only=True), model(**texts())
    assert torch.equal(short.z, whole.z)
    assert short.last_hidden_state is None
