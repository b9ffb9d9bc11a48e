"""What a GAU-alpha computes whatever the batch, back end, layout and precision; training; what it refuses."""

from pathlib import Path
from typing import Any

import pytest
import torch
from gau_alpha_tiny import tiny, tiny_config
from roformer_tiny import packed, tokens
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification

import hf_ext
from hf_ext.models.gau_alpha import (
    GAUAlphaConfig,
    GAUAlphaForMaskedLM,
    GAUAlphaForMultipleChoice,
    GAUAlphaForQuestionAnswering,
    GAUAlphaForSequenceClassification,
    GAUAlphaForTokenClassification,
    GAUAlphaModel,
)

# A row of one token is all padding but one; another is longer than the bound of 16 keys.
LENGTHS = [20, 7, 1, 17]
BACK_ENDS = ("gated_attention", "sdpa", "eager")
VARIANTS: dict[str, dict[str, Any]] = {
    "softmax_plus": {},
    "bound of the release": {"softmax_plus_min_keys": 1},
    "softmax": {"normalization": "softmax", "attention_scale": False},
    "gelu": {"hidden_act": "gelu"},
}


def run(model: Any, batch: dict[str, Tensor], **settings: Any) -> Tensor:
    with torch.no_grad():
        return model(**batch, **settings).last_hidden_state


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("unpad", [False, True])
@pytest.mark.parametrize("back_end", BACK_ENDS)
@pytest.mark.parametrize("fields", VARIANTS.values(), ids=VARIANTS)
def test_rows_do_not_depend_on_their_batch(fields: dict[str, Any], back_end: str, unpad: bool, side: str) -> None:
    """Each row, alone and without a mask, against the same row in a padded batch, padded on either side."""
    model, alone = tiny(GAUAlphaModel, back_end, unpad=unpad, **fields), tiny(GAUAlphaModel, **fields)
    batch = tokens(LENGTHS, side)
    found = run(model, batch)
    for row, length in enumerate(LENGTHS):
        cut = slice(0, length) if side == "right" else slice(-length, None)
        text = {name: value[row : row + 1, cut] for name, value in batch.items() if name != "attention_mask"}
        torch.testing.assert_close(found[row, cut], run(alone, text)[0], atol=1e-11, rtol=0)


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_packed_rows(back_end: str) -> None:
    """One packed row and a batch of two; each text's scores grow with its own length."""
    model = tiny(GAUAlphaModel, back_end)
    batch = tokens(LENGTHS)
    row, wanted = packed(batch), run(model, batch)[batch["attention_mask"].bool()]
    torch.testing.assert_close(run(model, row)[0], wanted, atol=1e-11, rtol=0)
    for out in run(model, {name: value.expand(2, -1) for name, value in row.items()}):
        torch.testing.assert_close(out, wanted, atol=1e-11, rtol=0)


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_mask_of_pairs(back_end: str) -> None:
    """A mask ``[B, 1, L, L]`` is taken as it is, and the keys that each query sees are counted in it."""
    causal = torch.ones(18, 18, dtype=torch.bool).tril().expand(2, 1, -1, -1)
    mask = causal if back_end != "eager" else torch.zeros(causal.shape).double().masked_fill(~causal, -torch.inf)
    batch = {"input_ids": tokens([18, 18])["input_ids"]}
    model = tiny(GAUAlphaModel, back_end, num_hidden_layers=1)
    found = run(model, batch | {"attention_mask": mask})
    for length in (1, 3, 17, 18):
        prefix = run(model, {"input_ids": batch["input_ids"][:, :length]})
        torch.testing.assert_close(found[:, length - 1], prefix[:, -1], atol=1e-11, rtol=0)


@pytest.mark.parametrize("unpad", [False, True])
def test_batch_of_padding_alone(unpad: bool) -> None:
    model = tiny(GAUAlphaModel, unpad=unpad)
    batch = {"input_ids": torch.zeros(2, 5, dtype=torch.long), "attention_mask": torch.zeros(2, 5)}
    assert run(model, batch).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_half_precision(back_end: str, dtype: torch.dtype) -> None:
    batch = tokens(LENGTHS)
    real = batch["attention_mask"].bool()
    exact = run(tiny(GAUAlphaModel), batch)[real]
    for unpad in (False, True):
        found = run(tiny(GAUAlphaModel, back_end, dtype, unpad=unpad), batch)[real]
        assert found.dtype == dtype
        error = (found.double() - exact).square().mean().sqrt()
        assert error < 4 * torch.finfo(dtype).eps


def test_inner_states() -> None:
    batch = tokens(LENGTHS)
    model = tiny(GAUAlphaModel, "eager")
    with torch.no_grad():
        output = model(**batch, output_hidden_states=True, output_attentions=True)
    assert [state.shape for state in output.hidden_states] == [(4, 20, 32)] * 3
    assert [weights.shape for weights in output.attentions] == [(4, 1, 20, 20)] * 2
    assert torch.equal(output.hidden_states[-1], output.last_hidden_state)
    for weights in output.attentions:
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
        assert not weights.transpose(1, 3)[~batch["attention_mask"].bool()].any()


LABELS = tokens(LENGTHS, seed=1)["input_ids"].masked_fill(tokens(LENGTHS)["attention_mask"] == 0, -100)


def gradients(model: Any, **inputs: Any) -> dict[str, Tensor]:
    model(**inputs).loss.backward()
    found = {name: p.grad for name, p in model.named_parameters()}
    assert not [name for name, grad in found.items() if grad is None or not grad.any()]
    return found


@pytest.mark.parametrize("unpad", [False, True])
def test_gradients_agree(unpad: bool) -> None:
    batch = tokens(LENGTHS) | {"labels": LABELS}
    found = [gradients(tiny(GAUAlphaForMaskedLM, back_end, unpad=unpad), **batch) for back_end in BACK_ENDS]
    for other in found[1:]:
        # The library's loss over the vocabulary is computed in float32.
        torch.testing.assert_close(found[0], other, atol=1e-5, rtol=0)


@pytest.mark.parametrize("unpad", [False, True])
@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_gradient_checkpointing(back_end: str, unpad: bool) -> None:
    """With dropout of hidden states and attention weights, which has to be the same the second time."""
    batch = tokens(LENGTHS) | {"labels": LABELS}
    found = []
    for checkpointing in (False, True):
        dropout = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.3}
        model = tiny(GAUAlphaForMaskedLM, back_end, unpad=unpad, **dropout).train()
        if checkpointing:
            model.gradient_checkpointing_enable()
        torch.manual_seed(1)
        found.append(gradients(model, **batch))
    torch.testing.assert_close(*found, atol=1e-10, rtol=0)


@pytest.mark.slow
def test_compiled_whole() -> None:
    model = tiny(GAUAlphaForMaskedLM, dtype=torch.float32)
    batch = tokens(LENGTHS) | {"labels": LABELS}
    wanted = gradients(model, **batch)
    model.zero_grad()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    compiled(**batch).loss.backward()
    torch.testing.assert_close({n: p.grad for n, p in model.named_parameters()}, wanted, atol=2e-5, rtol=1e-4)


HEADS: dict[str, tuple[Any, dict[str, Any]]] = {
    "masked": (GAUAlphaForMaskedLM, {"labels": LABELS}),
    "token classes": (GAUAlphaForTokenClassification, {"labels": LABELS.clamp(max=1)}),
    "classes": (GAUAlphaForSequenceClassification, {"labels": torch.tensor([0, 1, 1, 0])}),
    "answers": (
        GAUAlphaForQuestionAnswering,
        {"start_positions": torch.tensor([1, 2, 0, 3]), "end_positions": torch.tensor([3, 2, 0, 5])},
    ),
}


@pytest.mark.parametrize(("model_class", "labels"), HEADS.values(), ids=HEADS)
def test_heads_save_and_load(model_class: Any, labels: dict[str, Tensor], tmp_path: Path) -> None:
    model = tiny(model_class)
    batch = tokens(LENGTHS)
    gradients(model.train(), **batch, **labels)
    model.eval().save_pretrained(tmp_path)
    again, info = model_class.from_pretrained(tmp_path, output_loading_info=True, dtype=torch.float64)
    assert not any(info.values())
    assert again.config._attn_implementation == "gated_attention"
    with torch.no_grad():
        torch.testing.assert_close(model(**batch)[0], again(**batch)[0], atol=0, rtol=0)
    encoder = AutoModel.from_pretrained(tmp_path, dtype=torch.float64)
    assert type(encoder) is GAUAlphaModel
    torch.testing.assert_close(run(encoder, batch), run(model.gau_alpha, batch), atol=0, rtol=0)


def test_multiple_choice() -> None:
    batch = tokens([5, 3, 4, 1])
    model = tiny(GAUAlphaForMultipleChoice)
    choices = {name: value.view(2, 2, -1) for name, value in batch.items()}
    with torch.no_grad():
        found = model(**choices, labels=torch.tensor([1, 0]))
    wanted = model.classifier(run(model.gau_alpha, batch)[:, 0]).view(2, 2)
    torch.testing.assert_close(found.logits, wanted)
    torch.testing.assert_close(found.loss, torch.nn.functional.cross_entropy(wanted, torch.tensor([1, 0])))


def test_names_of_the_hub() -> None:
    model = tiny(GAUAlphaForMaskedLM)
    layer = {
        f"gau_alpha.encoder.layer.0.gau.{n}.weight" for n in ("i_dense", "o_dense", "q_scaleoffset", "k_scaleoffset")
    }
    names = {name for name in model.state_dict() if ".layer.1." not in name}
    embeddings = {f"gau_alpha.embeddings.{n}.weight" for n in ("word_embeddings", "token_type_embeddings")}
    assert names == layer | embeddings | {"cls.predictions.decoder.weight"}
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


@pytest.mark.filterwarnings("ignore:.*newly initialized.*")
def test_scales_missing_from_a_checkpoint() -> None:
    """Nothing but the model itself fills them in, as it is built without memory."""
    model = tiny(GAUAlphaForMaskedLM)
    state = {name: value for name, value in model.state_dict().items() if "scaleoffset" not in name}
    loaded = GAUAlphaForMaskedLM.from_pretrained(None, config=model.config, state_dict=state)
    for name, parameter in loaded.named_parameters():
        if "scaleoffset" in name:
            assert torch.equal(parameter, torch.ones_like(parameter)), name


def test_auto_classes_and_the_config_of_the_hub() -> None:
    hub = {
        "attention_key_size": 8,
        "attention_probs_dropout_prob": 0.1,
        "attention_scale": True,
        "classifier_dropout": 0.1,
        "embedding_size": 32,
        "gradient_checkpointing": False,
        "hidden_act": "swish",
        "hidden_size": 32,
        "intermediate_size": 48,
        "layer_norm_eps": 1e-12,
        "normalization": "softmax_plus",
        "num_hidden_layers": 2,
        "pad_token_id": 0,
        "type_vocab_size": 2,
        "use_bias": False,
        "vocab_size": 60,
    }
    config = AutoConfig.for_model("gau_alpha", **hub)
    assert type(config) is GAUAlphaConfig is hf_ext.GAUAlphaConfig
    assert type(AutoModelForMaskedLM.from_config(config)) is hf_ext.GAUAlphaForMaskedLM
    assert type(AutoModelForSequenceClassification.from_config(config)) is hf_ext.GAUAlphaForSequenceClassification
    assert hf_ext.GAUAlphaModel is GAUAlphaModel
    assert hf_ext.GAUAlphaForTokenClassification is GAUAlphaForTokenClassification
    assert hf_ext.GAUAlphaForQuestionAnswering is GAUAlphaForQuestionAnswering
    assert hf_ext.GAUAlphaForMultipleChoice is GAUAlphaForMultipleChoice


REFUSED: dict[str, dict[str, Any]] = {
    "normalization must be .*'squared_relu'": {"normalization": "squared_relu"},
    "attention_normalization must be .*'none'": {"attention_normalization": "none"},
    "softmax_plus_min_keys must be at least 1, got 0": {"softmax_plus_min_keys": 0},
    "attention_key_size must be even.*got 7": {"attention_key_size": 7},
    "use_bias must be False": {"use_bias": True},
    "norm_type must be 'rms_norm'": {"norm_type": "layer_norm"},
    "attention_mode must be 'bidirectional'": {"attention_mode": "causal"},
    "is_decoder must be False": {"is_decoder": True},
    "rope_type must be one of": {"rope_parameters": {"rope_type": "lineal", "rope_theta": 1e4, "factor": 2.0}},
}


@pytest.mark.parametrize(("message", "fields"), REFUSED.items(), ids=[str(f) for f in REFUSED.values()])
def test_refused_settings(message: str, fields: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=message):
        tiny_config(**fields)


def test_flash_attention_is_refused() -> None:
    with pytest.raises(ValueError, match="does not support Flash Attention"):
        tiny(GAUAlphaModel).set_attn_implementation("flash_attention_2")


def test_other_norms_of_the_weights() -> None:
    """Of length 1; not by what is fused, nor in its stead where the config is changed later."""
    batch = tokens(LENGTHS)
    model = tiny(GAUAlphaModel, "eager", attention_normalization="l2")
    assert GAUAlphaModel(model.config).config._attn_implementation == "eager"
    for back_end in ("gated_attention", "sdpa"):
        with pytest.raises(ValueError, match=f"'l2' does not go with attn_implementation='{back_end}'"):
            model.set_attn_implementation(back_end)
    with torch.no_grad():
        output = model(**batch, output_attentions=True)
    for weights in output.attentions:
        torch.testing.assert_close(weights.square().sum(-1), torch.ones_like(weights[..., 0]))
        assert (weights.sum(-1)[batch["attention_mask"].bool()[:, None].expand(-1, 1, -1)] > 1 - 1e-12).all()
    for back_end in BACK_ENDS:
        changed = tiny(GAUAlphaModel, back_end)
        changed.config.attention_normalization = "l2"
        torch.testing.assert_close(run(changed, batch), output.last_hidden_state, atol=1e-11, rtol=0)


def test_adapters_find_their_layers() -> None:
    import peft

    model = peft.get_peft_model(tiny(GAUAlphaForTokenClassification), peft.LoraConfig(task_type="TOKEN_CLS", r=2))
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    for layer in ("0.gau.i_dense", "1.gau.o_dense"):
        assert any(f"{layer}.lora_A" in name for name in trained)
    assert any("classifier" in name for name in trained)
    loss = model(**tokens(LENGTHS), labels=LABELS.clamp(max=1)).loss
    loss.backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
