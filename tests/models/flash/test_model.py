"""FLASH: nothing leaks between texts or from the future, cached and uncached generation agree, and it trains."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from transformers import AutoConfig, DynamicCache, PreTrainedModel

import hf_ext
from hf_ext.models.flash import (
    FLASHCache,
    FLASHConfig,
    FLASHForCausalLM,
    FLASHForMaskedLM,
    FLASHForMultipleChoice,
    FLASHForQuestionAnswering,
    FLASHForSequenceClassification,
    FLASHForTokenClassification,
    FLASHModel,
)
from hf_ext.models.flash.layers_flash import QuadraticUnit, Surroundings
from hf_ext.ops.mixed_chunk_attention.naive import naive_mixed_chunk_attention
from hf_ext.ops.rotary import apply_rotary, rotary_cos_sin

CHUNK = 4
TINY: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "intermediate_size": 48,
    "attention_key_size": 8,
    "chunk_size": CHUNK,
    "initializer_range": 0.3,
    "hidden_dropout_prob": 0.0,
}
CAUSAL: dict[str, Any] = {"attention_mode": "causal"}
VARIANTS: dict[str, dict[str, Any]] = {
    "mixed chunk": {},
    "mixed chunk, causal": CAUSAL,
    "quadratic": {"attention": "quadratic"},
    "quadratic, causal": {"attention": "quadratic", "attention_mode": "causal"},
    "article, layer norm": {"attention_scaling": "key_size", "norm_type": "layer_norm", "use_bias": False},
    "factorized, pooler": {"embedding_size": 16, "pooler_activation": "tanh"},
}
LENGTHS = [11, 4, 1, 6]


def tiny(model_class: Any, dtype: torch.dtype = torch.float64, **fields: Any) -> Any:
    """A model in eval mode, the same weights for the same settings, none of them at a default such as 0 or 1."""
    torch.manual_seed(0)
    model = model_class(FLASHConfig(**(TINY | fields)))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() <= 1:
                parameter += 0.2 * torch.randn_like(parameter)
    return model.to(dtype).eval()


def tokens(lengths: list[int], side: str = "right", seed: int = 0) -> dict[str, Tensor]:
    """Random rows of the given lengths, padded to the longest; the second half of each is of type 1."""
    generator = torch.Generator().manual_seed(seed)
    longest = max(lengths)
    out = {
        name: torch.zeros(len(lengths), longest, dtype=torch.long)
        for name in ("input_ids", "token_type_ids", "attention_mask")
    }
    for row, length in enumerate(lengths):
        cut = slice(0, length) if side == "right" else slice(longest - length, longest)
        out["input_ids"][row, cut] = torch.randint(1, TINY["vocab_size"], (length,), generator=generator)
        out["token_type_ids"][row, cut] = (torch.arange(length) >= (length + 1) // 2).long()
        out["attention_mask"][row, cut] = 1
    return out


TOKEN_LABELS = tokens(LENGTHS, seed=1)["input_ids"].masked_fill(tokens(LENGTHS)["attention_mask"] == 0, -100)


def gradients(model: PreTrainedModel) -> dict[str, Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    assert any(g.any() for g in found.values())
    return found


@pytest.mark.parametrize("fields", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("side", ["right", "left"])
def test_a_text_gives_the_same_alone_and_in_a_batch(side: str, fields: dict[str, Any]) -> None:
    model = tiny(FLASHModel, **fields)
    batch = tokens(LENGTHS, side)
    with torch.no_grad():
        found = model(**batch, output_hidden_states=True)
        for row, mask in enumerate(batch["attention_mask"].bool()):
            alone = {name: value[row : row + 1, mask] for name, value in batch.items()}
            for inputs in (alone, {name: alone[name] for name in ("input_ids", "token_type_ids")}):
                wanted = model(**inputs, output_hidden_states=True)
                # Hidden states before the last norm are in the hundreds.
                for ours, theirs in zip(found.hidden_states, wanted.hidden_states, strict=True):
                    torch.testing.assert_close(ours[row, mask], theirs[0], atol=1e-12, rtol=1e-12)
                last = found.last_hidden_state[row, mask]
                torch.testing.assert_close(last, wanted.last_hidden_state[0], atol=1e-12, rtol=0)
                if wanted.pooler_output is not None:
                    torch.testing.assert_close(found.pooler_output[row], wanted.pooler_output[0], atol=1e-12, rtol=0)
    assert (found.pooler_output is not None) == ("pooler_activation" in fields)


@pytest.mark.parametrize("fields", VARIANTS.values(), ids=VARIANTS)
def test_padding_and_the_future_tell_in_nothing(fields: dict[str, Any]) -> None:
    model = tiny(FLASHModel, **fields)
    causal = model.config.resolved_attention_mode == "causal"
    batch = tokens([11, 7])
    with torch.no_grad():
        before = model(**batch).last_hidden_state
        padded = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, 33)
        after = model(**(batch | {"input_ids": padded})).last_hidden_state
        real = batch["attention_mask"].bool()
        assert torch.equal(after[real], before[real])
        for place in range(11):
            ids = batch["input_ids"].clone()
            ids[0, place] = ids[0, place] % 59 + 1
            moved = (model(**(batch | {"input_ids": ids})).last_hidden_state != before).any(-1)
            assert not moved[1].any()
            assert moved[0, place]
            if causal:
                assert not moved[0, :place].any()
            else:
                assert moved[0].all()


@pytest.mark.parametrize("fields", VARIANTS.values(), ids=VARIANTS)
def test_packed_rows(fields: dict[str, Any]) -> None:
    """Texts one after the other, told apart by positions that start again."""
    model = tiny(FLASHModel, **fields)
    batch = tokens([5, 1, 9, 3])
    real = batch["attention_mask"].bool()
    packed = {name: batch[name][real].view(2, 9) for name in ("input_ids", "token_type_ids")}
    packed["position_ids"] = torch.cat([torch.arange(n) for n in (5, 1, 9, 3)]).view(2, 9)
    del packed["token_type_ids"]
    del batch["token_type_ids"]
    with torch.no_grad():
        # The third text is cut by the end of the first row: two texts of 3 and 6.
        parts = tokens([5, 1, 3, 6, 3])
        ids = batch["input_ids"][real].split([5, 1, 3, 6, 3])
        for row, text in enumerate(ids):
            parts["input_ids"][row, : len(text)] = text
        positions = torch.arange(6).repeat(5, 1)
        positions[3] += 3
        del parts["token_type_ids"]
        wanted = model(**parts, position_ids=positions).last_hidden_state[parts["attention_mask"].bool()]
        found = model(**packed, output_hidden_states=True)
    torch.testing.assert_close(found.last_hidden_state.flatten(0, 1), wanted, atol=1e-12, rtol=0)
    assert [x.shape for x in found.hidden_states] == [(2, 9, 32)] * 3


def test_a_layer_is_the_definition() -> None:
    """A unit from its parameters, one by one, around the definition of the attention."""
    model = tiny(FLASHModel, **CAUSAL)
    unit, x = model.encoder.layer[0].gau, torch.randn(2, 10, 32, dtype=torch.float64)
    with torch.no_grad():
        places = model._cos_sin(torch.arange(CHUNK)[None])
        surroundings = Surroundings(model._cos_sin(torch.arange(10)[None]), places, places, None)
        found = unit(x, surroundings, None)

        hidden = torch.nn.functional.silu(x @ unit.i_dense.weight.T + unit.i_dense.bias)
        gate, value, base = hidden.split([48, 48, 8], dim=-1)
        vectors = [
            apply_rotary((base * scale + offset)[:, :, None], *rotary_cos_sin(torch.arange(10)[None], 8))[:, :, 0]
            for scale, offset in zip(unit.scale_offset.weight, unit.scale_offset.bias)
        ]
        bias = torch.zeros(CHUNK, CHUNK, dtype=torch.float64)
        frequencies = 10000.0 ** (-torch.arange(0, 8, 2, dtype=torch.float64) / 8)
        left, right = (
            torch.view_as_complex(w.view(-1, 2))
            for w in (unit.relative_bias.query_weight, unit.relative_bias.key_weight)
        )
        for i in range(CHUNK):
            for j in range(CHUNK):
                turn = torch.polar(torch.ones_like(frequencies), (i - j) * frequencies)
                bias[i, j] = (left * right.conj() * turn).real.sum()
        attended = naive_mixed_chunk_attention(*vectors, value, CHUNK, True, None, bias)
        wanted = (gate * attended) @ unit.o_dense.weight.T + unit.o_dense.bias
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)


def test_a_quadratic_layer_has_the_numbers_of_the_original(golden: Path) -> None:
    """bert4keras' unit under squared ReLU; it has no relative bias."""
    import numpy as np

    fields = {"attention": "quadratic", "intermediate_size": 20, "attention_key_size": 16}
    unit = QuadraticUnit(FLASHConfig(**(TINY | fields), attention_scaling="key_size"), 0)
    with np.load(golden / "layers" / "io.npz") as data, torch.no_grad():
        weight = {name[6:]: torch.from_numpy(data[name]) for name in data if name.startswith("gau_w_")}
        unit.i_dense.weight.copy_(weight["i_kernel"].T)
        unit.i_dense.bias.copy_(weight["i_bias"])
        unit.o_dense.weight.copy_(weight["o_kernel"].T)
        unit.o_dense.bias.copy_(weight["o_bias"])
        unit.scale_offset.weight.copy_(torch.stack([weight["q_gamma"], weight["k_gamma"]]))
        unit.scale_offset.bias.copy_(torch.stack([weight["q_beta"], weight["k_beta"]]))
        unit.relative_bias.query_weight.zero_()
        unit.relative_bias.key_weight.zero_()
        cos, sin = (x.float() for x in rotary_cos_sin(torch.arange(17)[None], 16))
        visible = torch.from_numpy(data["mask"])[:, None]
        found = unit(torch.from_numpy(data["x"]), Surroundings((cos, sin), (cos, sin), (cos, sin), visible), None)
        wanted = torch.from_numpy(data["gau_squared_relu_rotary_out"])
    torch.testing.assert_close(found, wanted, atol=2e-5, rtol=0)


# Generation.

SEARCHES: dict[str, dict[str, Any]] = {"greedy": {}, "beam": {"num_beams": 3}, "sample": {"do_sample": True}}


def generate(model: Any, batch: dict[str, Tensor], **settings: Any) -> Tensor:
    torch.manual_seed(0)
    return model.generate(**batch, **{"max_new_tokens": 10, "pad_token_id": 0, "do_sample": False} | settings)


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
@pytest.mark.parametrize("lengths", [[11, 3, 4], [2], [8, 1]], ids=str)
@pytest.mark.parametrize("attention", ["mixed_chunk", "quadratic"])
def test_with_and_without_a_cache(attention: str, lengths: list[int], search: dict[str, Any]) -> None:
    """Prompts shorter, longer and as long as a chunk, padded on the left: the same text, and for each row alone."""
    model = tiny(FLASHForCausalLM, attention=attention, **CAUSAL)
    batch = tokens(lengths, "left")
    found = generate(model, batch, **search)
    assert torch.equal(found, generate(model, batch, use_cache=False, **search))
    if not search.get("do_sample"):
        for row, length in enumerate(lengths):
            alone = {name: value[row : row + 1, -length:] for name, value in batch.items()}
            assert torch.equal(generate(model, alone, **search)[0], found[row, -length - 10 :])


def test_beams_end_at_different_times() -> None:
    model = tiny(FLASHForCausalLM, **CAUSAL)
    batch = tokens([9, 5], "left")
    settings = {"num_beams": 4, "num_return_sequences": 2, "eos_token_id": list(range(40, 60)), "max_new_tokens": 14}
    assert torch.equal(generate(model, batch, **settings), generate(model, batch, use_cache=False, **settings))


def test_the_cache_does_not_grow() -> None:
    model = tiny(FLASHForCausalLM, **CAUSAL)
    sizes = []
    for steps in (1, 10, 3 * CHUNK, 9 * CHUNK):
        output = generate(model, tokens([6, 3], "left"), max_new_tokens=steps, return_dict_in_generate=True)
        cache = output.cache
        assert isinstance(cache, FLASHCache)
        assert cache.get_seq_length() == 6 + steps - 1
        assert cache.row_lengths is not None
        assert cache.row_lengths.tolist() == [6 + steps - 1, 3 + steps - 1]
        sizes.append(sum(x.numel() * x.element_size() for state in cache.states.values() for x in vars(state).values()))
    # Two layers, two rows: the sum, the open chunk, and two counts.
    assert sizes == [2 * 2 * (8 * (8 * 48 + CHUNK * (8 + 8 + 48)) + 2 * 8)] * 4


@pytest.mark.parametrize("attention", ["mixed_chunk", "quadratic"])
def test_cache_filled_in_pieces(attention: str) -> None:
    """A padded text run in pieces with a cache is the text run whole; so is one begun before."""
    model = tiny(FLASHForCausalLM, attention=attention, **CAUSAL)
    batch = tokens([13, 8])
    real = batch["attention_mask"].bool()
    with torch.no_grad():
        whole = model(**batch).logits
        cache, pieces = None, []
        for start, stop in ((0, 3), (3, 4), (4, 5), (5, 11), (11, 12), (12, 13)):
            piece = {name: value[:, start:stop] for name, value in batch.items()}
            piece["attention_mask"] = batch["attention_mask"][:, :stop]
            output = model(**piece, cache=cache, use_cache=True)
            cache = output.cache
            pieces.append(output.logits)
    torch.testing.assert_close(torch.cat(pieces, dim=1)[real], whole[real], atol=1e-12, rtol=0)

    prompt = {"input_ids": batch["input_ids"][:1]}
    wanted = generate(model, prompt)
    begun = generate(model, prompt, max_new_tokens=4, return_dict_in_generate=True)
    rest = {"input_ids": begun.sequences, "cache": begun.cache}
    assert torch.equal(generate(model, rest, max_new_tokens=6), wanted)
    embedded = {"inputs_embeds": model.get_input_embeddings()(prompt["input_ids"])}
    assert torch.equal(generate(model, embedded), wanted[:, 13:])


def test_cache_as_a_container() -> None:
    model = tiny(FLASHModel, **CAUSAL)
    cache = FLASHCache()
    assert (cache.batch_size, cache.get_seq_length(), cache.is_initialized, cache.row_lengths) == (-1, 0, False, None)
    cache.batch_repeat_interleave(2)
    with torch.no_grad():
        model(**tokens([5, 3]), cache=cache)
        cache.batch_repeat_interleave(2)
        assert cache.batch_size == 4
        cache.reorder_cache(torch.tensor([3, 0]))
        found = model(torch.tensor([[7], [8]]), cache=cache).last_hidden_state
        ids = tokens([5, 3])["input_ids"]
        types = tokens([5, 3])["token_type_ids"]
        for row, (text, length, new) in enumerate(((1, 3, 7), (0, 5, 8))):
            whole = torch.cat([ids[text, :length], torch.tensor([new])])[None]
            kinds = torch.cat([types[text, :length], torch.tensor([0])])[None]
            wanted = model(whole, token_type_ids=kinds).last_hidden_state[0, -1]
            torch.testing.assert_close(found[row, 0], wanted, atol=1e-12, rtol=0)
    assert (cache.is_compileable, cache.is_croppable, cache.get_max_length()) == (False, False, -1)
    with pytest.raises(ValueError, match="cannot take tokens back"):
        cache.crop(-1)
    cache.reset()
    assert (cache.batch_size, cache.get_seq_length()) == (-1, 0)


def test_refusals() -> None:
    model = tiny(FLASHForCausalLM, **CAUSAL)
    ids = torch.tensor([[5, 6, 7, 5, 6]])
    with pytest.raises(ValueError, match="assisted generation is not supported with stateful models"):
        generate(model, {"input_ids": ids}, prompt_lookup_num_tokens=2)
    with pytest.raises(ValueError, match="cache must be a FLASHCache"):
        model(ids, cache=DynamicCache())
    with pytest.raises(ValueError, match=r"cache must be a DynamicCache .*got a StaticCache"):
        generate(
            tiny(FLASHForCausalLM, attention="quadratic", **CAUSAL), {"input_ids": ids}, cache_implementation="static"
        )
    with pytest.raises(ValueError, match="encoder_hidden_states must be None"):
        model(ids, encoder_hidden_states=torch.zeros(1, 2, 32))
    with pytest.raises(TypeError, match="position_idx"):
        model(ids, position_idx=ids)
    with pytest.raises(ValueError, match=r"attention_mask must have shape \[B, L\], got \[1, 1, 5, 5\]"):
        model(ids, attention_mask=torch.ones(1, 1, 5, 5))
    with pytest.raises(ValueError, match="give either input_ids or inputs_embeds, got neither"):
        model()
    with pytest.raises(ValueError, match='cache needs attention_mode="causal"'):
        tiny(FLASHModel)(ids, cache=FLASHCache())
    quadratic = tiny(FLASHForCausalLM, attention="quadratic", **CAUSAL)
    assert torch.equal(
        generate(quadratic, {"input_ids": ids}, prompt_lookup_num_tokens=2), generate(quadratic, {"input_ids": ids})
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"attention": "linear"}, "attention must be one of"),
        ({"attention_mode": "unilm"}, "attention_mode must be one of"),
        ({"norm_type": "rms_norm"}, "norm_type must be one of"),
        ({"attention_scaling": "rows"}, "attention_scaling must be one of"),
        ({"attention_key_size": 7}, "attention_key_size must be even and positive, got 7"),
        ({"chunk_size": 0}, "chunk_size must be at least 1, got 0"),
        ({"num_attention_heads": 2}, "num_attention_heads must be 1"),
        ({"attention_probs_dropout_prob": 0.1}, "attention_probs_dropout_prob must be 0"),
        ({"unpad": True}, "unpad must be False"),
        ({"rope_parameters": {"rope_type": "lineal", "factor": 2.0}}, "rope_type must be one of"),
        ({"is_decoder": True, "attention_mode": "bidirectional"}, "attention_mode must be"),
    ],
)
def test_settings_that_mean_nothing(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match=message):
        FLASHConfig(**(TINY | fields))


# Training.

HEADS: dict[str, tuple[Any, dict[str, Any], Tensor]] = {
    "masked": (FLASHForMaskedLM, {}, TOKEN_LABELS),
    "causal": (FLASHForCausalLM, CAUSAL, TOKEN_LABELS),
    "causal, quadratic": (FLASHForCausalLM, CAUSAL | {"attention": "quadratic"}, TOKEN_LABELS),
    "token classes": (FLASHForTokenClassification, {"num_labels": 60}, TOKEN_LABELS),
    "classes": (FLASHForSequenceClassification, {"num_labels": 3}, torch.tensor([0, -100, 2, 1])),
}


@pytest.mark.parametrize(("model_class", "fields", "labels"), HEADS.values(), ids=HEADS)
def test_accumulation(model_class: Any, fields: dict[str, Any], labels: Tensor) -> None:
    """One step of four rows, and four of one row: Trainer hands over the count, and adds up."""
    model = tiny(model_class, **fields).train()
    batch = tokens(LENGTHS) | {"labels": labels}
    count = (labels if model_class is not FLASHForCausalLM else labels[:, 1:]).ne(-100).sum()
    # The library's losses over the vocabulary are computed in float32.
    tolerance = 2e-6 if model_class in (FLASHForMaskedLM, FLASHForCausalLM) else 1e-12
    found = []
    for parts in (1, 4):
        for part in range(parts):
            rows = slice(part * 4 // parts, (part + 1) * 4 // parts)
            model(**{name: value[rows] for name, value in batch.items()}, num_items_in_batch=count).loss.backward()
        found.append(gradients(model))
    torch.testing.assert_close(found[0], found[1], atol=tolerance, rtol=0)


def test_other_heads() -> None:
    batch = tokens(LENGTHS)
    answers = {"start_positions": torch.tensor([1, 2, 0, 99]), "end_positions": torch.tensor([3, 2, 0, 1])}
    output = tiny(FLASHForQuestionAnswering)(**batch, **answers)
    assert output.start_logits.shape == output.end_logits.shape == (4, 11)
    assert output.loss.isfinite()
    choices = {name: value.view(2, 2, 11) for name, value in batch.items()}
    picker = tiny(FLASHForMultipleChoice)
    output = picker(**choices, labels=torch.tensor([0, 1]))
    assert output.logits.shape == (2, 2)
    swapped = picker(**{name: value.flip(1) for name, value in choices.items()})
    torch.testing.assert_close(swapped.logits.flip(1), output.logits, atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", ["mixed chunk", "mixed chunk, causal", "quadratic"])
def test_gradient_checkpointing(name: str) -> None:
    batch, found = tokens(LENGTHS) | {"labels": TOKEN_LABELS}, []
    model_class = FLASHForCausalLM if "causal" in name else FLASHForMaskedLM
    for checkpointing in (False, True):
        model = tiny(model_class, hidden_dropout_prob=0.1, **VARIANTS[name]).train()
        if checkpointing:
            model.gradient_checkpointing_enable()
        torch.manual_seed(7)
        model(**batch).loss.backward()
        found.append(gradients(model))
    assert set(found[0]) == {name for name, _ in model.named_parameters()}
    torch.testing.assert_close(*found, atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", ["mixed chunk", "mixed chunk, causal", "quadratic", "quadratic, causal"])
def test_one_graph(name: str) -> None:
    torch._dynamo.reset()
    model = tiny(FLASHModel, num_hidden_layers=1, **VARIANTS[name])
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    with torch.no_grad():
        for inputs in (tokens(LENGTHS, "left"), {"input_ids": tokens([11, 11])["input_ids"]}):
            found = compiled(**inputs, use_cache=False).last_hidden_state
            wanted = model(**inputs, use_cache=False).last_hidden_state
            torch.testing.assert_close(found, wanted, atol=1e-11, rtol=0)


def test_compiled_gradients() -> None:
    torch._dynamo.reset()
    batch, found = tokens(LENGTHS) | {"labels": TOKEN_LABELS}, []
    for compile_ in (False, True):
        model = tiny(FLASHForCausalLM, num_hidden_layers=1, **CAUSAL).train()
        run = torch.compile(model, fullgraph=True, backend="aot_eager") if compile_ else model
        run(**batch).loss.backward()
        found.append(gradients(model))
    torch.testing.assert_close(*found, atol=1e-11, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["mixed chunk", "mixed chunk, causal", "quadratic, causal"])
def test_half_precision(name: str, dtype: torch.dtype) -> None:
    """Near the numbers of float32; and the state too."""
    batch = tokens([40, 9])
    fields = VARIANTS[name] | {"initializer_range": 0.1}
    wanted = tiny(FLASHModel, dtype=torch.float32, **fields)(**batch).last_hidden_state
    model = tiny(FLASHModel, dtype=dtype, **fields)
    output = model(**batch, use_cache=True)
    real = batch["attention_mask"].bool()
    error = (output.last_hidden_state.float() - wanted)[real].norm() / wanted[real].norm()
    assert output.last_hidden_state.dtype == dtype
    assert error < (5e-3 if dtype == torch.float16 else 4e-2)
    if "causal" in name:
        step = model(torch.tensor([[5], [6]]), cache=output.cache)
        assert step.last_hidden_state.isfinite().all()


# Files and registration.


@pytest.mark.parametrize("model_class", [FLASHForCausalLM, FLASHForMaskedLM, FLASHForSequenceClassification])
def test_save_and_load(model_class: Any, tmp_path: Path) -> None:
    model = tiny(model_class, dtype=torch.float32, is_decoder=model_class is FLASHForCausalLM)
    model.save_pretrained(tmp_path)
    again, info = model_class.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    batch = tokens(LENGTHS)
    assert torch.equal(again.eval()(**batch).logits, model(**batch).logits)
    if model_class is not FLASHForSequenceClassification:
        assert again.cls.predictions.decoder.weight is again.flash.embeddings.word_embeddings.weight
        assert "cls.predictions.decoder.weight" not in dict(again.named_parameters())
    assert type(AutoConfig.from_pretrained(tmp_path)) is FLASHConfig


@pytest.mark.parametrize("norm_type", ["scale_norm", "layer_norm"])
def test_new_parameters_after_loading_are_initialised(norm_type: str, tmp_path: Path) -> None:
    """from_pretrained builds on the meta device: a bare parameter that is not in the file must still be filled."""
    model = tiny(FLASHModel, dtype=torch.float32, norm_type=norm_type)
    names = ("scale_offset", "relative_bias", "norm")
    state = {name: x for name, x in model.state_dict().items() if not any(part in name for part in names)}
    model.save_pretrained(tmp_path, state_dict=state)
    again = FLASHModel.from_pretrained(tmp_path)
    assert len(state) < len(again.state_dict())
    for name, parameter in again.named_parameters():
        if name.endswith("norm.weight"):
            assert parameter.eq(1).all(), name
        elif name.endswith(("scale_offset.bias", "norm.bias")):
            assert parameter.eq(0).all(), name
        elif "scale_offset" in name or "relative_bias" in name:
            # Drawn with 0.3.
            assert 0.02 < parameter.std() < 0.9, name
            assert parameter.abs().max() < 2, name
    assert again(**tokens(LENGTHS)).last_hidden_state.isfinite().all()


AUTO = {
    "AutoModel": "FLASHModel",
    "AutoModelForTextEncoding": "FLASHModel",
    "AutoModelForMaskedLM": "FLASHForMaskedLM",
    "AutoModelForCausalLM": "FLASHForCausalLM",
    "AutoModelForSequenceClassification": "FLASHForSequenceClassification",
    "AutoModelForTokenClassification": "FLASHForTokenClassification",
    "AutoModelForQuestionAnswering": "FLASHForQuestionAnswering",
    "AutoModelForMultipleChoice": "FLASHForMultipleChoice",
}


@pytest.mark.parametrize("name", AUTO)
def test_auto_classes(name: str) -> None:
    model = getattr(transformers, name).from_config(FLASHConfig(**TINY, is_decoder="Causal" in name))
    assert type(model) is getattr(hf_ext, AUTO[name])
    assert not model._supports_sdpa


def test_adapters_without_naming_targets() -> None:
    from peft import LoraConfig, get_peft_model

    batch = tokens(LENGTHS) | {"labels": TOKEN_LABELS}
    model = get_peft_model(
        tiny(FLASHForTokenClassification, num_labels=60, dtype=torch.float32), LoraConfig(task_type="TOKEN_CLS", r=2)
    )
    adapted = {name.split(".lora_A")[0].rsplit(".", 1)[-1] for name, _ in model.named_parameters() if "lora_A" in name}
    assert adapted == {"i_dense", "o_dense"}
    model(**batch).loss.backward()
    trained = {name for name, p in model.named_parameters() if p.grad is not None}
    assert all("lora" in name or "modules_to_save" in name for name in trained)
    assert any("classifier.modules_to_save" in name for name in trained)


def test_it_learns_what_is_chunks_away() -> None:
    """A causal model learns to repeat the first token, two chunks back, which attention inside chunks cannot see."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 10, "intermediate_size": 64, "attention_key_size": 16, "initializer_range": 0.02}
    model = FLASHForCausalLM(FLASHConfig(**(TINY | sizes), is_decoder=True)).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(120):
        first = torch.randint(1, 10, (32, 1))
        ids = torch.cat([first, torch.randint(1, 10, (32, 9)), first], dim=1)
        labels = ids.clone()
        labels[:, :-1] = -100
        loss = model(ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) / 10 < 0.5
