"""RoFormer with linear attention: a layer is its definition, the cache has one size, random features are drawn anew."""

import copy
from itertools import pairwise
from pathlib import Path
from typing import Any

import harness
import pytest
import torch
from model_outputs import gradients
from models_tiny import SIZES, make, tokens
from torch import Tensor
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    DynamicCache,
)

from hf_ext import (
    LinearRoFormerCache,
    LinearRoFormerConfig,
    LinearRoFormerForCausalLM,
    LinearRoFormerForMaskedLM,
    LinearRoFormerForMultipleChoice,
    LinearRoFormerForQuestionAnswering,
    LinearRoFormerForSequenceClassification,
    LinearRoFormerForTokenClassification,
    LinearRoFormerModel,
    RoFormerConfig,
    RoFormerForMaskedLM,
)
from hf_ext.models.linear_roformer.layers_linear_roformer import RandomFeatures
from hf_ext.ops.linear_attention import KERNELS, random_features
from hf_ext.ops.linear_attention.naive import naive_linear_attention
from hf_ext.ops.rotary import rotary_cos_sin

CAUSAL: dict[str, Any] = {"attention_mode": "causal"}
VARIANTS: dict[str, dict[str, Any]] = {
    **{kernel: {"attention_kernel": kernel} for kernel in KERNELS},
    "wide": {"feature_size": 20},
    "favor of many": {"attention_kernel": "favor", "feature_size": 24},
    "no positions": {"use_rotary": False, "feature_size": 10},
    "causal": CAUSAL,
    "causal favor": CAUSAL | {"attention_kernel": "favor", "feature_size": 24},
    "causal without positions": CAUSAL | {"use_rotary": False, "attention_kernel": "cosine"},
}
CLOSE: dict[str, Any] = {"atol": 1e-11, "rtol": 0}
LENGTHS = [9, 4, 1, 6]


def tiny(model_class: Any, dtype: torch.dtype = torch.float64, **fields: Any) -> Any:
    return make(model_class, LinearRoFormerConfig(**(SIZES | fields)), "eager", dtype)


@pytest.mark.parametrize("fields", VARIANTS.values(), ids=VARIANTS)
def test_a_layer_is_the_definition(fields: dict[str, Any]) -> None:
    """The attention from its parameters, one by one, around the definition; of padded and of packed texts."""
    model = tiny(LinearRoFormerModel, **fields)
    layer, features = model.encoder.layer[0].attention.self, model.config.resolved_feature_size
    x, real = torch.randn(2, 7, 32, dtype=torch.float64), torch.arange(7) < torch.tensor([[7], [5]])
    rotation = rotary_cos_sin(torch.arange(7)[None], features) if model.config.use_rotary else None

    def heads(linear: Any) -> Tensor:
        return (x @ linear.weight.T + linear.bias).unflatten(-1, (4, -1)).transpose(1, 2)

    parts = [heads(linear) for linear in (layer.query, layer.key, layer.value)]
    width = 8 if layer.kernel == "favor" else features
    assert [part.shape[-1] for part in parts] == [width, width, 8]
    omega = layer.random_features.omega if layer.kernel == "favor" else None
    causal = model.config.resolved_attention_mode == "causal"
    wanted = naive_linear_attention(*parts, layer.kernel, causal, real, omega, rotation).transpose(1, 2).flatten(2)
    found, weights = layer(x, real, rotation or ())
    assert weights is None
    torch.testing.assert_close(found, wanted, **CLOSE)


@pytest.mark.parametrize("fields", VARIANTS.values(), ids=VARIANTS)
def test_layouts(fields: dict[str, Any]) -> None:
    """Alone, padded on either side, without the padding, and several in each of two rows: the same."""
    model = tiny(LinearRoFormerModel, use_cache=False, **fields)
    for side in ("right", "left"):
        batch = tokens(LENGTHS, side)
        real = batch["attention_mask"].bool()
        with torch.no_grad():
            wanted = [
                model(**{name: value[row : row + 1, mask] for name, value in batch.items()}).last_hidden_state[0]
                for row, mask in enumerate(real)
            ]
            for unpad in (False, True):
                model.config.unpad = unpad
                found = model(**batch).last_hidden_state[real]
                torch.testing.assert_close(found, torch.cat(wanted), **CLOSE)
                if unpad:
                    assert not model(**batch).last_hidden_state[~real].any()
    rows = {name: value[real].view(2, 10) for name, value in tokens(LENGTHS).items() if name == "input_ids"}
    rows["position_ids"] = torch.cat([torch.arange(n) for n in (9, 1, 3, 1, 6)]).view(2, 10)
    texts = rows["input_ids"].flatten().split([9, 1, 3, 1, 6])
    with torch.no_grad():
        wanted = [model(text[None]).last_hidden_state[0] for text in texts]
        found = model(**rows).last_hidden_state.flatten(0, 1)
    torch.testing.assert_close(found, torch.cat(wanted), **CLOSE)


@pytest.mark.parametrize("fields", VARIANTS.values(), ids=VARIANTS)
def test_padding_and_the_future_tell_in_nothing(fields: dict[str, Any]) -> None:
    model = tiny(LinearRoFormerModel, **fields)
    causal = model.config.resolved_attention_mode == "causal"
    batch = tokens([11, 7])
    real = batch["attention_mask"].bool()
    with torch.no_grad():
        before = model(**batch).last_hidden_state
        padded = batch["input_ids"].masked_fill(~real, 33)
        assert torch.equal(model(**(batch | {"input_ids": padded})).last_hidden_state[real], before[real])
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


def test_a_model_without_positions_knows_no_order() -> None:
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    for rotary in (False, True):
        model = tiny(LinearRoFormerModel, use_rotary=rotary)
        with torch.no_grad():
            there, back = model(ids).last_hidden_state, model(ids.flip(1)).last_hidden_state.flip(1)
        assert torch.allclose(there, back, atol=1e-12) is not rotary


# Generation.


def generate(model: Any, batch: dict[str, Tensor], **settings: Any) -> Any:
    torch.manual_seed(0)
    return model.generate(**batch, **{"max_new_tokens": 10, "pad_token_id": 0, "do_sample": False} | settings)


@pytest.mark.parametrize("name", [name for name in VARIANTS if name.startswith("causal")])
def test_with_and_without_a_cache(name: str) -> None:
    """Whole and in pieces, the logits of a padded batch are the same; and so is what is generated."""
    model = tiny(LinearRoFormerForCausalLM, **VARIANTS[name])
    batch = tokens([13, 8])
    real = batch["attention_mask"].bool()
    with torch.no_grad():
        whole, cache, pieces = model(**batch).logits, None, []
        for start, stop in ((0, 3), (3, 4), (4, 5), (5, 11), (11, 12), (12, 13)):
            piece = {key: value[:, start:stop] for key, value in batch.items()}
            piece["attention_mask"] = batch["attention_mask"][:, :stop]
            output = model(**piece, cache=cache, use_cache=True)
            cache = output.cache
            pieces.append(output.logits)
    torch.testing.assert_close(torch.cat(pieces, dim=1)[real], whole[real], **CLOSE)
    assert cache.row_lengths.tolist() == [13, 8]
    prompts = tokens([11, 3, 4], "left")
    assert torch.equal(generate(model, prompts), generate(model, prompts, use_cache=False))


def test_the_cache_does_not_grow() -> None:
    model, sizes = tiny(LinearRoFormerForCausalLM, feature_size=12, **CAUSAL), []
    for steps in (1, 10, 40):
        cache = generate(
            model, tokens([6, 3], "left"), max_new_tokens=steps, return_dict_in_generate=True, eos_token_id=None
        ).cache
        assert isinstance(cache, LinearRoFormerCache)
        assert cache.get_seq_length() == 6 + steps - 1
        assert cache.row_lengths is not None
        assert cache.row_lengths.tolist() == [6 + steps - 1, 3 + steps - 1]
        sizes.append(sum(x.numel() * x.element_size() for state in cache.states.values() for x in vars(state).values()))
    # Two layers, two rows, four heads: sums of products and of keys, what was taken from their logarithms; a count.
    assert sizes == [2 * 2 * (4 * 8 * (12 * 8 + 12 + 12) + 8)] * 3


def test_cache_as_a_container() -> None:
    model, cache = tiny(LinearRoFormerModel, **CAUSAL), LinearRoFormerCache()
    cache.batch_repeat_interleave(2)
    assert (cache.batch_size, cache.get_seq_length(), cache.is_initialized, cache.row_lengths) == (-1, 0, False, None)
    batch = tokens([5, 3])
    with torch.no_grad():
        model(**batch, cache=cache)
        cache.batch_repeat_interleave(2)
        assert cache.batch_size == 4
        cache.reorder_cache(torch.tensor([3, 0]))
        found = model(torch.tensor([[7], [8]]), attention_mask=torch.ones(2, 1), cache=cache).last_hidden_state
        # Row 3 was the text of three tokens and two of padding, which distances count.
        for row, (text, new) in enumerate(((1, 7), (0, 8))):
            whole = {name: torch.cat((value[text], torch.tensor([0])))[None] for name, value in batch.items()}
            whole["input_ids"][0, -1], whole["attention_mask"][0, -1] = new, 1
            wanted = model(**whole).last_hidden_state[0, -1]
            torch.testing.assert_close(found[row, 0], wanted, **CLOSE)
    with pytest.raises(ValueError, match="a LinearRoFormerCache cannot take tokens back"):
        cache.crop(-1)
    cache.reset()
    assert (cache.batch_size, cache.get_seq_length()) == (-1, 0)


# Random features.


def omegas(model: Any) -> list[Tensor]:
    return [module.omega.clone() for module in model.modules() if isinstance(module, RandomFeatures)]


def test_random_features_are_of_the_seed_and_the_layer() -> None:
    fields = {"attention_kernel": "favor", "feature_size": 12}
    first, second = omegas(tiny(LinearRoFormerModel, **fields))
    assert not torch.equal(first, second)
    assert torch.equal(first.float(), random_features(12, 8, seed=0).float())
    torch.manual_seed(8)
    again = LinearRoFormerModel(LinearRoFormerConfig(**(SIZES | fields)))
    assert torch.equal(omegas(again)[1], second.float())
    other = LinearRoFormerModel(LinearRoFormerConfig(**(SIZES | fields), feature_seed=1))
    assert not torch.equal(omegas(other)[0], omegas(again)[0])


def test_random_features_stay_in_evaluation_and_unless_asked() -> None:
    for fields, training in (({"redraw_interval": 1}, False), ({}, True)):
        model = tiny(LinearRoFormerModel, attention_kernel="favor", **fields).train(training)
        before = omegas(model)
        for _ in range(3):
            model(**tokens(LENGTHS))
        assert all(torch.equal(*pair) for pair in zip(before, omegas(model), strict=True))


@pytest.mark.parametrize("checkpointing", [False, True])
def test_random_features_are_drawn_anew(checkpointing: bool, tmp_path: Path) -> None:
    """Each third pass, once in it if layers run twice, and after a break as without one."""
    model = tiny(LinearRoFormerForMaskedLM, attention_kernel="favor", redraw_interval=3).train()
    if checkpointing:
        model.gradient_checkpointing_enable()
    batch = tokens(LENGTHS)
    batch["labels"] = batch["input_ids"]
    seen = []
    for number in range(7):
        if number == 4:
            model.save_pretrained(tmp_path)
            model = AutoModelForMaskedLM.from_pretrained(tmp_path).train()
        model(**batch).loss.backward()
        seen.append(omegas(model)[0])
    new = [not torch.equal(a, b) for a, b in pairwise(seen)]
    assert new == [False, True, False, False, True, False]
    assert not torch.equal(seen[2], seen[5])


def test_two_passes_before_their_gradients() -> None:
    """The one that is over keeps the features that it had."""
    fields = {"attention_kernel": "favor", "redraw_interval": 1}
    model, again = (tiny(LinearRoFormerModel, **fields).train() for _ in range(2))
    batch = tokens(LENGTHS)
    first = model(**batch).last_hidden_state
    model(**batch)
    first.square().sum().backward()
    again(**batch).last_hidden_state.square().sum().backward()
    torch.testing.assert_close(gradients(model), gradients(again), **CLOSE)


# What costs, and what is refused.


@pytest.mark.parametrize("causal", [False, True])
def test_nothing_is_as_large_as_a_matrix_of_weights(causal: bool) -> None:
    """A padded batch and a packed row of 3,000 tokens, forward and backward, in less memory than one matrix [L, L]."""
    fields: dict[str, Any] = {"num_hidden_layers": 1, "num_attention_heads": 1, "hidden_size": 8, "vocab_size": 9}
    model = tiny(LinearRoFormerModel, torch.float32, **(fields | {"intermediate_size": 8, "is_decoder": causal}))
    ids = torch.randint(1, 9, (1, 3000))
    mask = torch.ones_like(ids)
    mask[:, 2900:] = 0
    positions = torch.cat((torch.arange(2000), torch.arange(1000)))[None]
    for inputs in ({"attention_mask": mask}, {"position_ids": positions}):

        def call(inputs: dict[str, Tensor] = inputs) -> None:
            model(ids, **inputs).last_hidden_state.square().sum().backward()

        call()
        assert harness.peak_bytes(call) < 3000 * 3000 * 4


def test_what_cannot_be_asked_of_it() -> None:
    model, ids = tiny(LinearRoFormerForCausalLM, **CAUSAL), torch.tensor([[5, 6, 7, 5, 6]])
    with pytest.raises(ValueError, match="assisted generation is not supported with stateful models"):
        generate(model, {"input_ids": ids}, prompt_lookup_num_tokens=2)
    with pytest.raises(ValueError, match="cache must be a LinearRoFormerCache, got a DynamicCache"):
        model(ids, cache=DynamicCache())
    with pytest.raises(ValueError, match='cache needs attention_mode="causal"'):
        tiny(LinearRoFormerModel)(ids, cache=LinearRoFormerCache())
    with pytest.raises(ValueError, match=r"attention_mask must have shape \[B, L\].*got \[1, 1, 5, 5\]"):
        model(ids, attention_mask=torch.ones(1, 1, 5, 5))
    with pytest.raises(ValueError, match="add_cross_attention"):
        model(ids, encoder_hidden_states=torch.zeros(1, 2, 32))
    with pytest.raises(ValueError, match='"double_softmax" has no causal form'):
        LinearRoFormerForCausalLM(LinearRoFormerConfig(**SIZES, attention_kernel="double_softmax"))


@pytest.mark.parametrize("what", ["packed rows", "redraw_interval"])
def test_what_cannot_be_compiled(what: str) -> None:
    torch._dynamo.reset()
    ids = torch.tensor([[5, 6, 7, 5, 6]])
    inputs = {"position_ids": torch.tensor([[0, 1, 2, 0, 1]])} if what == "packed rows" else {}
    redraw = {} if what == "packed rows" else {"attention_kernel": "favor", "redraw_interval": 2}
    model = tiny(LinearRoFormerModel, num_hidden_layers=1, **redraw).train(bool(redraw))
    with pytest.raises(Exception, match=what):
        torch.compile(model, fullgraph=True, backend="eager")(ids, **inputs)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"attention_kernel": "sigmoid"}, "attention_kernel must be one of"),
        ({"attention_kernel": "double_softmax", "attention_mode": "causal"}, "double_softmax.* has no causal form"),
        ({"attention_kernel": "double_softmax", "is_decoder": True}, "double_softmax.* has no causal form"),
        ({"attention_mode": "unilm"}, "attention_mode must be one of .* got 'unilm'"),
        ({"feature_size": 0}, "feature_size must be at least 1, got 0"),
        ({"feature_size": 7}, "feature_size must be even, .*got feature_size=7"),
        ({"redraw_interval": 5}, "redraw_interval must be None but for attention_kernel 'favor'"),
        ({"feature_seed": 5}, "feature_seed must be 0 but for attention_kernel 'favor'"),
        ({"attention_kernel": "favor", "redraw_interval": 0}, "redraw_interval must be at least 1 or None, got 0"),
        ({"attention_kernel": "favor", "feature_seed": -1}, "feature_seed must be at least 0, got -1"),
        ({"use_rotary": False, "rope_parameters": {"rope_theta": 5.0}}, "rope_parameters must be None"),
        ({"attention_probs_dropout_prob": 0.1}, "attention_probs_dropout_prob must be 0"),
        ({"rotary_value": True}, "rotary_value must be False"),
        ({"is_decoder": True, "add_cross_attention": True}, "add_cross_attention must be False"),
        ({"rope_parameters": {"rope_type": "lineal", "factor": 2.0}}, "rope_type must be one of"),
        ({"trainable_frequencies": True}, "trainable_frequencies must be False"),
    ],
)
def test_settings_that_mean_nothing(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match=message):
        LinearRoFormerConfig(**(SIZES | fields))


def test_heads() -> None:
    """What each gives, and that it is what the Auto class gives; the common tests hold them to the rest."""
    batch = tokens(LENGTHS)
    config = LinearRoFormerConfig(**SIZES, num_labels=3)
    for auto, model_class, shape in (
        (AutoModelForSequenceClassification, LinearRoFormerForSequenceClassification, (4, 3)),
        (AutoModelForTokenClassification, LinearRoFormerForTokenClassification, (4, 9, 3)),
        (AutoModelForQuestionAnswering, LinearRoFormerForQuestionAnswering, (4, 9)),
        (AutoModelForMultipleChoice, LinearRoFormerForMultipleChoice, (2, 2)),
    ):
        model = auto.from_config(copy.deepcopy(config))
        assert type(model) is model_class
        chosen = {name: value.view(2, 2, 9) for name, value in batch.items()} if shape == (2, 2) else batch
        output = model(**chosen)
        found = output.start_logits if model_class is LinearRoFormerForQuestionAnswering else output.logits
        assert found.shape == shape


def test_its_folders_are_its_own(tmp_path: Path) -> None:
    """Neither the built-in RoFormer nor ours reads them, nor does it read theirs."""
    tiny(LinearRoFormerForMaskedLM, rope_parameters={"rope_theta": 5.0}).save_pretrained(tmp_path / "linear")
    assert '"model_type": "linear_roformer"' in (tmp_path / "linear" / "config.json").read_text(encoding="utf-8")
    again = AutoModelForMaskedLM.from_pretrained(tmp_path / "linear")
    assert type(again) is LinearRoFormerForMaskedLM
    assert type(copy.deepcopy(again.config)) is LinearRoFormerConfig
    with pytest.raises(ValueError, match="model_type must be 'roformer'"):
        RoFormerForMaskedLM.from_pretrained(tmp_path / "linear")
    RoFormerForMaskedLM(RoFormerConfig(**SIZES)).save_pretrained(tmp_path / "softmax")
    with pytest.raises(ValueError, match="model_type must be 'linear_roformer'"):
        LinearRoFormerForMaskedLM.from_pretrained(tmp_path / "softmax")


def test_a_copy_is_learnt() -> None:
    """The last token is the first."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"vocab_size": 10, "initializer_range": 0.05, "feature_size": 32}
    model = LinearRoFormerForCausalLM(LinearRoFormerConfig(**(SIZES | sizes), is_decoder=True)).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
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
