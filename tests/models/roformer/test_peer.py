"""Our RoFormer against Transformers' own on the same weights, and the files that pass between them."""

import copy
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from roformer_tiny import TINY, V2, tiny, tiny_config, tokens
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers.models.roformer import configuration_roformer as stock_configuration, modeling_roformer as stock

import hf_ext.models.roformer as ours

LENGTHS = [17, 11, 1]
LABELS: dict[str, dict[str, Any]] = {
    "RoFormerForMaskedLM": {"labels": torch.tensor([[3, -100] * 8 + [5]] * 3)},
    "RoFormerForCausalLM": {"labels": torch.tensor([[3, 7] * 8 + [-100]] * 3)},
    "RoFormerForSequenceClassification": {"labels": torch.tensor([0, 3, 1])},
    "RoFormerForTokenClassification": {"labels": torch.tensor([[3, -100] * 8 + [2]] * 3)},
    "RoFormerForQuestionAnswering": {
        "start_positions": torch.tensor([0, 3, 20]),
        "end_positions": torch.tensor([16, 5, 0]),
    },
}
# Name of the class, fields of the config, labels other than those above.
HEADS = [
    ("RoFormerModel", {}, {}),
    ("RoFormerModel", {"embedding_size": 16}, {}),
    ("RoFormerForMaskedLM", {}, None),
    ("RoFormerForMaskedLM", {"embedding_size": 16, "hidden_act": "relu"}, None),
    ("RoFormerForMaskedLM", {"rotary_value": True}, None),
    ("RoFormerForCausalLM", {"is_decoder": True}, None),
    ("RoFormerForSequenceClassification", {"num_labels": 4}, None),
    ("RoFormerForSequenceClassification", {"num_labels": 1}, {"labels": torch.tensor([0.5, -1.0, 2.0])}),
    ("RoFormerForSequenceClassification", {"num_labels": 4}, {"labels": torch.eye(4)[:3]}),
    (
        "RoFormerForSequenceClassification",
        {"num_labels": 4, "problem_type": "regression"},
        {"labels": torch.eye(4)[:3]},
    ),
    ("RoFormerForTokenClassification", {"num_labels": 4}, None),
    ("RoFormerForQuestionAnswering", {}, None),
]


def pair(name: str, back_end: str = "sdpa", dtype: torch.dtype = torch.float64, **fields: Any) -> tuple[Any, Any]:
    """The stock model and ours, with equal weights."""
    fields = {"layer_norm_eps": 1e-12, "mlm_layer_norm_eps": 1e-12} | fields
    config = stock_configuration.RoFormerConfig(**(TINY | fields))
    mine = tiny(getattr(ours, name), back_end, dtype, **fields)
    theirs = getattr(stock, name)(config).to(dtype).eval()
    missing, unexpected = theirs.load_state_dict(mine.state_dict(), strict=False)
    assert not unexpected
    assert all("embed_positions" in key for key in missing)
    return theirs, mine


def compare(theirs: Any, mine: Any, real: Tensor | None = None) -> None:
    assert {name for name, value in theirs.items() if isinstance(value, Tensor)} <= mine.keys()
    for name, value in theirs.items():
        if isinstance(value, Tensor):
            found = mine[name]
            if real is not None and value.shape[:2] == real.shape:
                value, found = value[real], found[real]
            # The stock table of sines is float32.
            torch.testing.assert_close(
                found.double(), value.double(), atol=2e-5, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
            )


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("back_end", ["eager", "sdpa"])
@pytest.mark.parametrize(("name", "fields", "labels"), HEADS)
def test_outputs_and_losses(name: str, fields: dict[str, Any], labels: dict[str, Tensor] | None, back_end: str) -> None:
    theirs, mine = pair(name, back_end, **fields)
    batch = tokens(LENGTHS)
    labels = LABELS[name] if labels is None else labels
    if labels.get("labels") is not None and labels["labels"].is_floating_point():
        labels = {"labels": labels["labels"].double()}
    settings = {"use_cache": False} if name == "RoFormerForCausalLM" else {}
    with torch.no_grad():
        outputs = [model(**batch, **labels, **settings) for model in (theirs, mine)]
    if labels:
        assert outputs[1].loss > 0
    compare(*outputs, batch["attention_mask"].bool())


@pytest.mark.parametrize("back_end", ["eager", "sdpa"])
def test_gradients(back_end: str) -> None:
    theirs, mine = pair("RoFormerForMaskedLM", back_end)
    batch = tokens(LENGTHS)
    for model in (theirs, mine):
        model(**batch, **LABELS["RoFormerForMaskedLM"]).loss.backward()
    found = dict(mine.named_parameters())
    for name, parameter in theirs.named_parameters():
        if "embed_positions" not in name:
            torch.testing.assert_close(found[name].grad, parameter.grad, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("back_end", ["eager", "sdpa"])
@pytest.mark.parametrize("cached", [True, False])
def test_cross_attention(back_end: str, cached: bool) -> None:
    theirs, mine = pair("RoFormerForCausalLM", back_end, is_decoder=True, add_cross_attention=True)
    batch, source = tokens([9, 5, 4]), tokens([6, 1, 3], seed=1)
    states = torch.randn(3, 6, 32, dtype=torch.float64)
    inputs = {**batch, "encoder_hidden_states": states, "encoder_attention_mask": source["attention_mask"]}
    with torch.no_grad():
        outputs = [model(**inputs, use_cache=cached) for model in (theirs, mine)]
        compare(*outputs, batch["attention_mask"].bool())
        if cached:
            # One more token, with the encoder's keys and values from the cache.
            more = {name: torch.cat([batch[name], torch.ones(3, 1, dtype=torch.long)], 1) for name in batch}
            whole = mine(**(inputs | more), use_cache=False).logits[:, -1]
            step = mine(
                input_ids=more["input_ids"][:, -1:],
                attention_mask=more["attention_mask"],
                token_type_ids=more["token_type_ids"][:, -1:],
                encoder_hidden_states=states * torch.nan,
                encoder_attention_mask=source["attention_mask"],
                cache=outputs[1].cache,
            )
            torch.testing.assert_close(step.logits[:, 0], whole, atol=1e-10, rtol=0)
    if back_end == "eager":
        with torch.no_grad():
            output = mine(**inputs, use_cache=False, output_attentions=True)
        assert [a.shape for a in output.attentions] == [(3, 4, 9, 9)] * 2
        assert [a.shape for a in output.cross_attentions] == [(3, 4, 9, 6)] * 2
        assert not output.cross_attentions[0][1, :, :, 1:].any()


@pytest.mark.parametrize("name", [*LABELS, "RoFormerModel", "RoFormerForMultipleChoice"])
def test_checkpoint_of_the_stock_class(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its table of sines is left aside without a word, and what we save loads there again."""
    fields = {"is_decoder": True} if "Causal" in name else {}
    torch.manual_seed(0)
    theirs = getattr(stock, name)(stock_configuration.RoFormerConfig(**TINY, **fields)).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    assert any("embed_positions" in key for key in load_file(tmp_path / "theirs" / "model.safetensors"))
    transformers.utils.logging.enable_propagation()
    try:
        with caplog.at_level(logging.WARNING):
            mine, info = getattr(ours, name).from_pretrained(tmp_path / "theirs", output_loading_info=True)
    finally:
        transformers.utils.logging.disable_propagation()
    assert not caplog.records
    assert not any(info.values())
    # Stock RoFormer has this epsilon everywhere.
    assert mine.config.layer_norm_eps == 1e-12
    batch = tokens(LENGTHS)
    if name == "RoFormerForMultipleChoice":
        batch = {key: value[None] for key, value in tokens([7, 7, 7]).items()}
    else:
        with torch.no_grad():
            compare(
                theirs(**batch, use_cache=False), mine.eval()(**batch, use_cache=False), batch["attention_mask"].bool()
            )
    mine.save_pretrained(tmp_path / "ours")
    again = getattr(stock, name).from_pretrained(tmp_path / "ours", **fields).eval()
    for key, value in theirs.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=0, atol=0)


def test_config_object_of_the_stock_class() -> None:
    """`from_config` with a stock config object stays what it was: the stock model."""
    model = transformers.AutoModel.from_config(stock_configuration.RoFormerConfig(**TINY))
    assert type(model) is stock.RoFormerModel


def test_v2_folder_of_the_hub(tmp_path: Path) -> None:
    """Stock Transformers ignores these fields and predicts noise; ours reads them."""
    mine = tiny(ours.RoFormerForMaskedLM, dtype=torch.float32, layer_norm_eps=1e-12, **V2)
    state = {name: value for name, value in mine.state_dict().items() if "decoder" not in name}
    assert not any(name.endswith(("bias", "LayerNorm.weight")) for name in state)
    state["roformer.encoder.embed_positions.weight"] = torch.randn(64, 8)
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    settings = {name: value for name, value in TINY.items() if "dropout" not in name}
    settings |= {"model_type": "roformer", "architectures": ["RoFormerForMaskedLM"], "layer_norm_eps": 1e-12}
    settings |= {"norm_type": "rms_norm", "use_bias": False, "rotary_value": False, "embedding_size": 32}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    model, info = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert type(model) is ours.RoFormerForMaskedLM
    assert not any(info.values())
    batch = tokens(LENGTHS)
    with torch.no_grad():
        torch.testing.assert_close(model(**batch).logits, mine(**batch).logits, rtol=0, atol=0)


AUTO = {
    "AutoModel": "RoFormerModel",
    "AutoModelForTextEncoding": "RoFormerModel",
    "AutoModelForMaskedLM": "RoFormerForMaskedLM",
    "AutoModelForCausalLM": "RoFormerForCausalLM",
    "AutoModelForSequenceClassification": "RoFormerForSequenceClassification",
    "AutoModelForTokenClassification": "RoFormerForTokenClassification",
    "AutoModelForQuestionAnswering": "RoFormerForQuestionAnswering",
    "AutoModelForMultipleChoice": "RoFormerForMultipleChoice",
}


@pytest.mark.parametrize("fields", [{"pooler_activation": "linear", "embedding_size": 16}, V2], ids=["v1", "v2"])
@pytest.mark.parametrize(("auto", "name"), AUTO.items())
def test_round_trip_through_the_auto_class(auto: str, name: str, fields: dict[str, Any], tmp_path: Path) -> None:
    mode = {"attention_mode": "causal"} if "Causal" in name else {}
    model = tiny(getattr(ours, name), dtype=torch.float32, unpad=True, num_labels=3, **fields, **mode)
    model.save_pretrained(tmp_path)
    again, info = getattr(transformers, auto).from_pretrained(tmp_path, output_loading_info=True)
    assert type(again) is getattr(ours, name)
    assert not any(info.values())
    where = {"_name_or_path": None}
    assert again.config.to_dict() | where == model.config.to_dict() | where
    for key, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=0, atol=0)


def test_encoder_of_a_masked_language_model(tmp_path: Path) -> None:
    """A head's checkpoint loads into the encoder, and an encoder's into a head, whose own layers alone are new."""
    language_model = tiny(ours.RoFormerForMaskedLM, dtype=torch.float32)
    language_model.save_pretrained(tmp_path / "lm")
    encoder = transformers.AutoModel.from_pretrained(tmp_path / "lm")
    encoder.save_pretrained(tmp_path / "encoder")
    head, info = transformers.AutoModelForTokenClassification.from_pretrained(
        tmp_path / "encoder", num_labels=5, output_loading_info=True
    )
    assert info["missing_keys"] == {"classifier.weight", "classifier.bias"}
    assert head.classifier.weight.shape == (5, 32)
    for name, value in language_model.roformer.state_dict().items():
        torch.testing.assert_close(head.roformer.state_dict()[name], value, rtol=0, atol=0)


@pytest.mark.parametrize("fields", [{}, {"embedding_size": 16}, V2], ids=["v1", "factorized", "v2"])
@pytest.mark.parametrize("size", [73, 41])
def test_resized_vocabulary_stays_tied(fields: dict[str, Any], size: int, tmp_path: Path) -> None:
    model = tiny(ours.RoFormerForMaskedLM, dtype=torch.float32, **fields)
    before = model(torch.tensor([[1, 2, 3]])).logits
    model.resize_token_embeddings(size, mean_resizing=False)
    assert model.config.vocab_size == size
    for candidate in (model, copy.deepcopy(model)):
        words, decoder = candidate.get_input_embeddings().weight, candidate.get_output_embeddings()
        assert decoder.weight is words
        assert words.shape[0] == size
        if not fields.get("use_bias", True):
            assert decoder.bias is None
        else:
            assert decoder.bias is candidate.cls.predictions.bias
            assert decoder.bias.shape == (size,)
    batch = {"input_ids": torch.tensor([[1, 2, 3]])}
    output = model(**batch, labels=torch.tensor([[1, -100, size - 1]]))
    kept = min(size, 60)
    torch.testing.assert_close(output.logits[..., :kept], before[..., :kept])
    assert output.loss.isfinite()
    model.save_pretrained(tmp_path)
    assert not any("decoder" in key for key in load_file(tmp_path / "model.safetensors"))
    again = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path)
    torch.testing.assert_close(again(**batch).logits, output.logits, rtol=0, atol=0)


def test_untied_output_matrix(tmp_path: Path) -> None:
    model = tiny(ours.RoFormerForMaskedLM, dtype=torch.float32, tie_word_embeddings=False)
    assert model.get_output_embeddings().weight is not model.get_input_embeddings().weight
    model.save_pretrained(tmp_path)
    again = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path)
    assert again.get_output_embeddings().weight is not again.get_input_embeddings().weight
    batch = tokens(LENGTHS)
    torch.testing.assert_close(again(**batch).logits, model(**batch).logits, rtol=0, atol=0)


def test_new_weights_are_initialised(tmp_path: Path) -> None:
    """Heads made over an encoder's checkpoint are built without memory first: nothing may be left as it was found."""
    tiny(ours.RoFormerModel, dtype=torch.float32).save_pretrained(tmp_path)
    model = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path)
    assert not model.cls.predictions.bias.any()
    assert torch.equal(model.cls.predictions.transform.LayerNorm.weight, torch.ones(32))
    assert 0.1 < model.cls.predictions.transform.dense.weight.std() < 0.5
    assert tiny_config().initializer_range == 0.3
