"""Token mixers: what is told apart by place, what leaks and what does not, FNet beside its peer, variants, refusals."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from models_tiny import FAMILIES, SIZES, Case, make, tokens
from torch import Tensor, nn
from transformers import FNetConfig, FNetForMaskedLM

from hf_ext.models.token_mixer import (
    TokenMixerConfig,
    TokenMixerForMaskedLM,
    TokenMixerForTokenClassification,
    TokenMixerModel,
    modeling_token_mixer,
)
from hf_ext.models.token_mixer.configuration_token_mixer import MIXERS
from hf_ext.models.token_mixer.surroundings_token_mixer import Surroundings

FAMILY = FAMILIES["token_mixer"]
VARIANTS = {name: variant.fields for name, variant in FAMILY.variants.items()}
LONGEST = SIZES["max_position_embeddings"]


def tiny(fields: dict[str, Any] | None = None, dtype: torch.dtype = torch.float64, **more: Any) -> Any:
    """A model without a head."""
    return Case(FAMILY, {}, "AutoModel").make(dtype=dtype, **((fields or {}) | more))


def run(model: Any, batch: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        return model(**batch).last_hidden_state


def test_every_mixer_has_a_row_in_the_common_tests() -> None:
    assert {fields.get("mixer", "gmlp") for fields in VARIANTS.values()} == set(MIXERS)


@pytest.mark.parametrize("fields", VARIANTS.values(), ids=VARIANTS)
def test_the_future_and_padding_tell_in_nothing(fields: dict[str, Any]) -> None:
    """To the last bit; and each token tells in all the others that may see it."""
    model, batch = tiny(fields), tokens([11, 7])
    real = batch["attention_mask"].bool()
    before = run(model, batch)
    padded = batch | {"input_ids": batch["input_ids"].masked_fill(~real, 33)}
    assert torch.equal(run(model, padded)[real], before[real])
    causal = model.config.resolved_attention_mode == "causal"
    for place in range(11):
        ids = batch["input_ids"].clone()
        ids[0, place] = ids[0, place] % 59 + 1
        moved = (run(model, batch | {"input_ids": ids}) != before).any(-1)
        assert not moved[1].any()
        assert moved[0, place:].all()
        assert moved[0, :place].all() != causal or place == 0
        assert not causal or not moved[0, :place].any()


@pytest.mark.parametrize("fields", VARIANTS.values(), ids=VARIANTS)
def test_places_are_told_apart(fields: dict[str, Any]) -> None:
    """The same token everywhere, and another order: what knows no places would give the same."""
    model = tiny(fields)
    found = run(model, {"input_ids": torch.full((1, 6), 5)})[0]
    assert all(not torch.allclose(found[i], found[j]) for i in range(6) for j in range(i))
    batch = tokens([6])
    order = [3, 0, 5, 1, 2, 4]
    turned = run(model, {name: value[:, order] for name, value in batch.items()})
    assert not torch.allclose(turned, run(model, batch)[:, order])


def test_external_attention_is_a_bag_of_words() -> None:
    """Without embeddings of positions, whatever the order."""
    model, batch = tiny(VARIANTS["external"], position_embeddings=False), tokens([6])
    order = [3, 0, 5, 1, 2, 4]
    turned = run(model, {name: value[:, order] for name, value in batch.items()})
    torch.testing.assert_close(turned, run(model, batch)[:, order], atol=1e-12, rtol=0)


@pytest.mark.parametrize("fields", VARIANTS.values(), ids=VARIANTS)
def test_lengths(fields: dict[str, Any]) -> None:
    """Any up to the longest; beyond it an error that names the field, and not for what has no such length."""
    model = tiny(fields)
    for length in (1, 2, LONGEST):
        assert run(model, {"input_ids": torch.ones(1, length, dtype=torch.long)}).isfinite().all()
    ids = torch.ones(1, LONGEST + 1, dtype=torch.long)
    with pytest.raises(ValueError, match=rf"max_position_embeddings={LONGEST} tokens.* got {LONGEST + 1}"):
        model(ids)
    if model.config.mixer in ("fnet", "external"):
        assert run(tiny(fields, position_embeddings=False), {"input_ids": ids}).isfinite().all()


@pytest.mark.parametrize("fields", VARIANTS.values(), ids=VARIANTS)
def test_two_packed_rows_of_two_texts(fields: dict[str, Any]) -> None:
    model, batch = tiny(fields), tokens([5, 1, 2, 4])
    real = batch["attention_mask"].bool()
    row = {name: batch[name][real].view(2, 6) for name in ("input_ids", "token_type_ids")}
    row["position_ids"] = torch.cat([torch.arange(n) for n in (5, 1, 2, 4)]).view(2, 6)
    found = run(model, row)
    torch.testing.assert_close(found.flatten(0, 1), run(model, batch)[real], atol=1e-11, rtol=0)


@pytest.mark.parametrize("fields", VARIANTS.values(), ids=VARIANTS)
def test_rows_of_padding_alone(fields: dict[str, Any]) -> None:
    """Finite numbers and gradients, and nothing of them in other rows."""
    model, batch = tiny(fields), tokens([6, 3, 4])
    before = run(model, batch)
    batch["attention_mask"][1] = 0
    found = model(**batch).last_hidden_state
    assert found.isfinite().all()
    torch.testing.assert_close(found[[0, 2], :4], before[[0, 2], :4], atol=1e-12, rtol=0)
    found[..., ::3].square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("fields", VARIANTS.values(), ids=VARIANTS)
def test_half_precision(fields: dict[str, Any], dtype: torch.dtype) -> None:
    """Outputs and gradients near those of float64, and under autocast too."""
    batch, numbers = tokens([9, 4, 1, 6]), []
    for kind, automatic in ((torch.float64, False), (dtype, False), (torch.float32, True)):
        model = tiny(fields, dtype=kind)
        with torch.autocast("cpu", dtype=dtype, enabled=automatic):
            out = model(**batch).last_hidden_state
        loss = out.double()[..., ::3].square().mean()
        loss.backward()
        gradient = torch.cat([p.grad.flatten().double() for p in model.parameters() if p.grad is not None])
        numbers.append((loss.item(), gradient))
    exact, exact_gradient = numbers[0]
    for loss, gradient in numbers[1:]:
        assert loss == pytest.approx(exact, rel=20 * torch.finfo(dtype).eps)
        assert (gradient - exact_gradient).norm() < 40 * torch.finfo(dtype).eps * exact_gradient.norm()


@pytest.mark.parametrize("fields", VARIANTS.values(), ids=VARIANTS)
def test_gradient_checkpointing(fields: dict[str, Any]) -> None:
    batch, found = tokens([9, 4, 1, 6]), []
    for checkpointing in (False, True):
        model = tiny(fields, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1).train()
        if checkpointing:
            model.gradient_checkpointing_enable()
        torch.manual_seed(7)
        out = model(**batch).last_hidden_state
        out[..., ::3].square().sum().backward()
        found.append([out.detach(), *(p.grad for p in model.parameters() if p.grad is not None)])
    torch.testing.assert_close(*found, atol=1e-12, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("fields", VARIANTS.values(), ids=VARIANTS)
def test_one_graph(fields: dict[str, Any]) -> None:
    """Each mixer compiles without a break, padding and all, and gives the same."""
    torch._dynamo.reset()
    model, batch = tiny(fields, num_hidden_layers=1), tokens([9, 4, 1, 6], "left")
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    real = batch["attention_mask"].bool()
    torch.testing.assert_close(run(compiled, batch)[real], run(model, batch)[real], atol=1e-10, rtol=0)


def test_graphs_take_no_packed_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modeling_token_mixer, "in_graph", lambda: True)
    row = {"input_ids": torch.ones(1, 4, dtype=torch.long), "position_ids": torch.tensor([[0, 1, 0, 1]])}
    with pytest.raises(ValueError, match=r"packed rows .* cannot be compiled.*give attention_mask"):
        tiny()(**row)


@pytest.mark.parametrize("lengths", [[9, 4, 1, 6], [5, 5]])
def test_fnet_in_graphs(lengths: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """By matrices as by the fast transform, outputs and gradients."""
    model, batch = tiny(VARIANTS["fnet"]), tokens(lengths)
    found = []
    for graph in (False, True):
        monkeypatch.setattr(modeling_token_mixer, "in_graph", lambda graph=graph: graph)
        out = model(**batch).last_hidden_state
        out[..., ::3].square().sum().backward()
        found.append([out.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)])
        model.zero_grad()
    torch.testing.assert_close(*found, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_long_texts_in_half_precision(dtype: torch.dtype) -> None:
    """The first frequency of FNet is a sum over the whole text, beyond what float16 holds."""
    sizes = {"mixer": "fnet", "hidden_size": 256, "max_position_embeddings": 512, "num_hidden_layers": 1}
    model = tiny(sizes)
    with torch.no_grad():
        # What comes of an embedding that is far from 0 on the average.
        model.embeddings_project.bias.fill_(4)
    ids = torch.randint(1, 60, (1, 512), generator=torch.Generator().manual_seed(0))
    wanted, found = run(model, {"input_ids": ids}), run(copy.deepcopy(model).to(dtype), {"input_ids": ids})
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), wanted, atol=60 * torch.finfo(dtype).eps, rtol=0)


def layer_name(match: re.Match[str]) -> str:
    """Our name of a part of a layer of Transformers' FNet."""
    return f"token_mixer.encoder.layer.{match[1]}.block.{'mixing' if match[2] else ''}"


def stock_fnet() -> tuple[Any, Any]:
    """Transformers' FNet, and ours with its weights."""
    fields = SIZES | {"type_vocab_size": 2, "pad_token_id": 0, "hidden_act": "gelu_new"}
    theirs = make(FNetForMaskedLM, FNetConfig(**fields), "eager")
    ours = make(TokenMixerForMaskedLM, TokenMixerConfig(**fields, mixer="fnet", padding="as_padded"), "eager")
    weights = {}
    for name, value in theirs.state_dict().items():
        name = re.sub(r"^fnet\.embeddings\.projection", "token_mixer.embeddings_project", name)
        name = re.sub(r"^fnet\.encoder\.layer\.(\d+)\.(fourier\.output)?", layer_name, name)
        if ".pooler." not in name:
            weights[re.sub(r"^fnet\.", "token_mixer.", name)] = value
    ours.load_state_dict(weights)
    return theirs, ours


@pytest.mark.parametrize("side", ["right", "left"])
def test_fnet_is_that_of_transformers(side: str) -> None:
    """With its weights and as padded, logits and gradients; the exact one differs by the padding alone."""
    theirs, ours = stock_fnet()
    batch = tokens([9, 4, 6], side)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    wanted = theirs(batch["input_ids"], token_type_ids=batch["token_type_ids"], labels=labels)
    found = ours(**batch, labels=labels)
    torch.testing.assert_close(found.logits, wanted.logits, atol=1e-9, rtol=0)
    for output in (wanted, found):
        output.loss.backward()
    gradients = [model.get_input_embeddings().weight.grad for model in (ours, theirs)]
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-6)

    exact = Case(FAMILY, {"mixer": "fnet"}, "AutoModelForMaskedLM").make()
    exact.load_state_dict(ours.state_dict())
    with torch.no_grad():
        logits = exact(**batch).logits
        assert not torch.allclose(logits[1], wanted.logits[1])
        full = {name: value[:1] for name, value in batch.items()}
        torch.testing.assert_close(exact(**full).logits, wanted.logits[:1], atol=1e-9, rtol=0)


def test_fnet_as_padded_takes_no_packed_rows() -> None:
    model = tiny(VARIANTS["fnet"], padding="as_padded")
    with pytest.raises(ValueError, match=r'packed rows .* need padding="exact"'):
        model(torch.ones(1, 4, dtype=torch.long), position_ids=torch.tensor([[0, 1, 0, 1]]))


@pytest.mark.parametrize("mixer", ["gmlp", "amlp"])
def test_gates_begin_at_1(mixer: str) -> None:
    """As the article has it, with the default initialisation: what passes is half of what was widened."""
    sizes = SIZES | {"mixer": mixer, "num_hidden_layers": 1}
    torch.manual_seed(0)
    gate = TokenMixerModel(TokenMixerConfig(**sizes)).encoder.layer[0].block.gate
    assert gate.weight.abs().max() <= 1e-3 / LONGEST
    assert gate.weight.std() > 0.5e-3 / LONGEST
    assert gate.bias.eq(1).all()


def synthesized(attention: Any, config: Any, x: Tensor) -> Tensor:
    """A Synthesizer's heads of one text ``[L, H]``, number by number."""
    heads, size, length = config.num_attention_heads, config.head_size, len(x)
    out = torch.zeros_like(x)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        kinds = []
        for kind, make_scores in attention.scores.items():
            scores = torch.zeros(length, length, dtype=x.dtype)
            for i in range(length):
                for j in range(length):
                    scores[i, j] = score(kind, make_scores, config, x, head, part, i, j)
            kinds.append(scores)
        shares = attention.mixture.softmax(0) if len(kinds) > 1 else [1.0]
        mixed = sum(share * kind for share, kind in zip(shares, kinds, strict=True))
        value = (x @ attention.value.weight.T + attention.value.bias)[:, part]
        for i in range(length):
            out[i, part] = mixed[i].softmax(-1) @ value
    return out


def score(kind: str, scores: Any, config: Any, x: Tensor, head: int, part: slice, i: int, j: int) -> Tensor:
    """Of a kind, head and two places."""
    if kind == "random" and config.synthesizer_rank is None:
        return scores.weight[head, i, j]
    if kind == "random":
        return scores.query_weight[head, i].dot(scores.key_weight[head, j])
    if kind == "dot_product":
        query = (scores.query.weight @ x[i] + scores.query.bias)[part]
        key = (scores.key.weight @ x[j] + scores.key.bias)[part]
        return query.dot(key) / config.head_size**0.5
    hidden = (scores.hidden.weight @ x[i] + scores.hidden.bias)[part].relu()
    if config.synthesizer_tile is None:
        return scores.weight[head, j].dot(hidden) + scores.bias[head, j]
    group, member = divmod(j, config.synthesizer_tile)
    left = scores.group_weight[head, group].dot(hidden) + scores.group_bias[head, group]
    return left * (scores.member_weight[head, member].dot(hidden) + scores.member_bias[head, member])


SYNTHESIZERS: dict[str, dict[str, Any]] = {
    "random": {"mixer": "synthesizer_random"},
    "random, fixed": {"mixer": "synthesizer_random", "synthesizer_fixed": True},
    "random, factorised": {"mixer": "synthesizer_random", "synthesizer_rank": 3},
    "random, factorised, fixed": {
        "mixer": "synthesizer_random",
        "synthesizer_rank": 3,
        "synthesizer_fixed": True,
    },
    "random and dense": {"mixer": "synthesizer_random", "synthesizer_mixture": ["dense"]},
    "dense": {"mixer": "synthesizer_dense"},
    "dense, factorised": {"mixer": "synthesizer_dense", "synthesizer_tile": 4},
    "all": {"mixer": "synthesizer_dense", "synthesizer_mixture": ["dot_product", "random"]},
}


@pytest.mark.parametrize("fields", SYNTHESIZERS.values(), ids=SYNTHESIZERS)
def test_synthesizers_are_their_definition(fields: dict[str, Any]) -> None:
    model, x = tiny(fields), torch.randn(2, 7, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    real = torch.arange(7) < torch.tensor([[7], [5]])
    attention = model.encoder.layer[0].block.mixing.self
    with torch.no_grad():
        found = attention(x, Surroundings(2, real=real))[0]
        for row, length in enumerate((7, 5)):
            wanted = synthesized(attention, model.config, x[row, :length])
            torch.testing.assert_close(found[row, :length], wanted, atol=1e-12, rtol=0)


@pytest.mark.parametrize("rank", [None, 3])
def test_fixed_scores_stay(rank: int | None, tmp_path: Path) -> None:
    """They are drawn, saved, loaded and not trained."""
    fields = SYNTHESIZERS["random, fixed"] | {"synthesizer_rank": rank, "num_labels": 3}
    model = make(TokenMixerForTokenClassification, TokenMixerConfig(**(SIZES | fields)), "eager")
    drawn = {name: buffer.clone() for name, buffer in model.named_buffers()}
    assert len(drawn) == 2 * (1 if rank is None else 2)
    for buffer in drawn.values():
        assert buffer.std().item() == pytest.approx(1, abs=0.2)
    model.save_pretrained(tmp_path)
    again, report = TokenMixerForTokenClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    again.train()
    optimizer = torch.optim.SGD(again.parameters(), lr=1.0)
    batch = tokens([6, 4])
    again(**batch, labels=batch["input_ids"] % 3).loss.backward()
    assert all(p.grad is not None for p in again.parameters())
    optimizer.step()
    assert {name: torch.equal(buffer, drawn[name]) for name, buffer in again.named_buffers()} == dict.fromkeys(
        drawn, True
    )


REFUSED = [
    ({"mixer": "fnet2"}, r"mixer must be one of .*'external'\), got 'fnet2'"),
    ({"mixer": "fnet", "padding": "none"}, "padding must be one of .* got 'none'"),
    ({"padding": "as_padded"}, "padding must be 'exact' under mixer='gmlp', got 'as_padded'.*setting of fnet"),
    ({"mixer": "mlp", "attention_mode": "causal"}, "attention_mode must be .* mixer='mlp', which has no causal form"),
    ({"mixer": "fnet", "is_decoder": True}, "attention_mode must be .* mixer='fnet', which has no causal form"),
    ({"mixer": "external", "attention_mode": "causal"}, "mixer='external', which has no causal form"),
    ({"mixer": "synthesizer_dense", "attention_mode": "causal"}, "'synthesizer_dense', which has no causal form"),
    ({"attention_mode": "unilm"}, "attention_mode must be one of .* got 'unilm'"),
    ({"mixer": "mlp", "toeplitz": True}, "toeplitz must be False under mixer='mlp', got True.* gmlp and amlp"),
    ({"mixer": "mlp", "memory_size": 3}, "memory_size must be 64 under mixer='mlp', got 3: .* external"),
    ({"attention_key_size": 3}, "attention_key_size must be 64 under mixer='gmlp', got 3"),
    ({"token_intermediate_size": 3}, "token_intermediate_size must be None under mixer='gmlp', got 3"),
    ({"mixer": "mlp", "token_intermediate_size": 0}, "token_intermediate_size must be at least 1, got 0"),
    ({"intermediate_size": 49}, "intermediate_size must be even under mixer='gmlp'.*got 49"),
    ({"mixer": "synthesizer_dense", "num_attention_heads": 5}, "hidden_size must be a multiple of num_attention_heads"),
    ({"mixer": "synthesizer_dense", "synthesizer_rank": 3}, "synthesizer_rank must be None"),
    ({"mixer": "synthesizer_random", "synthesizer_rank": 65}, r"synthesizer_rank must be in \[1, .*=64\], got 65"),
    ({"mixer": "synthesizer_random", "synthesizer_tile": 8}, "synthesizer_tile must be None"),
    ({"mixer": "synthesizer_dense", "synthesizer_tile": 7}, "synthesizer_tile must divide .*=64, got 7"),
    ({"mixer": "synthesizer_dense", "synthesizer_mixture": ["dense"]}, "synthesizer_mixture must name each kind once"),
    ({"mixer": "synthesizer_dense", "synthesizer_mixture": ["favor"]}, "synthesizer_mixture must be of .*favor"),
    ({"synthesizer_mixture": ["random"]}, "synthesizer_mixture must be None under mixer='gmlp'"),
    ({"norm_position": "post"}, "norm_position must be 'pre'"),
    ({"mixer": "fnet", "norm_position": "pre"}, "norm_position must be 'post'"),
    ({"mixer": "fnet", "padding": "as_padded", "unpad": True}, "unpad must be False"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED)
def test_settings_that_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(StrictDataclassError, match=message):
        TokenMixerConfig(**(SIZES | fields))


def test_other_sizes_of_heads_where_there_are_none() -> None:
    for mixer in ("gmlp", "fnet"):
        TokenMixerModel(TokenMixerConfig(**(SIZES | {"mixer": mixer, "num_attention_heads": 5})))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"attention_mask": torch.ones(1, 3)}, r"attention_mask must have shape \[B, L\] = \[1, 4\], got \[1, 3\]"),
        ({"attention_mask": torch.ones(1, 1, 4, 4)}, r"attention_mask must have shape .* got \[1, 1, 4, 4\]"),
        ({"encoder_hidden_states": torch.ones(1, 4, 32)}, "encoder_hidden_states must be None"),
        ({"cache": object()}, "cache must be None"),
    ],
)
def test_inputs_that_are_refused(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny()(torch.ones(1, 4, dtype=torch.long), **inputs)


def test_defaults_of_the_mixers() -> None:
    """Those of the papers: activation, epsilon, whether positions have embeddings."""
    found = {
        mixer: (config.hidden_act, config.layer_norm_eps, config.has_position_embeddings)
        for mixer in MIXERS
        for config in [TokenMixerConfig(mixer=mixer)]
    }
    bert = ("gelu", 1e-12, True)
    assert found == {
        "gmlp": ("gelu", 1e-5, False),
        "amlp": ("gelu", 1e-5, False),
        "mlp": ("gelu", 1e-5, False),
        "fnet": ("gelu_pytorch_tanh", 1e-12, True),
        "synthesizer_random": bert,
        "synthesizer_dense": bert,
        "external": bert,
    }
    # FNet's projection is there whatever the sizes.
    assert isinstance(tiny(VARIANTS["fnet"]).embeddings_project, nn.Linear)
