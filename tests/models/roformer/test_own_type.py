"""The model type of folders: ``roformer`` where Transformers' own class computes the same, else ``roformer_v2``."""

import json

import pytest
import torch
import transformers
from roformer_tiny import TINY, V2, tiny, tokens
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.models.roformer import modeling_roformer as stock

import hf_ext
from hf_ext import RoFormerConfig

# Class, fields, and whether the stock class computes the same.
CASES = [
    ("RoFormerModel", {}, True),
    ("RoFormerModel", {"embedding_size": 16, "rotary_value": True}, True),
    ("RoFormerModel", {"is_decoder": True}, True),
    ("RoFormerForMaskedLM", {}, True),
    ("RoFormerForMaskedLM", {"pooler_activation": "tanh"}, False),
    ("RoFormerForTokenClassification", {"unpad": True}, True),
    ("RoFormerForCausalLM", {"is_decoder": True}, True),
    ("RoFormerForCausalLM", {"attention_mode": "causal"}, False),
    ("RoFormerForCausalLM", {}, False),
    ("RoFormerModel", V2, False),
    ("RoFormerModel", {"norm_type": "rms_norm"}, False),
    ("RoFormerModel", {"attention_mode": "unilm"}, False),
    ("RoFormerModel", {"attention_mode": "causal"}, False),
    ("RoFormerModel", {"rope_parameters": {"rope_type": "default", "rope_theta": 100.0}}, False),
    ("RoFormerModel", {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}}, False),
    ("RoFormerForMultipleChoice", {}, False),
]


def saved_type(folder):
    return json.loads((folder / "config.json").read_text())["model_type"]


@pytest.mark.parametrize(("name", "fields", "same"), CASES)
def test_the_stock_type_is_for_what_the_stock_class_computes_alike(name, fields, same, tmp_path):
    """Told by the stock class itself, on the folder as it would be under its type."""
    model = tiny(getattr(hf_ext, name), dtype=torch.float32, **fields)
    model.save_pretrained(tmp_path)
    assert saved_type(tmp_path) == ("roformer" if same else "roformer_v2")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "roformer"}))
    batch = tokens([9, 5])
    if "MultipleChoice" in name:
        batch = {key: value[:, None].repeat(1, 2, 1) for key, value in batch.items()}
    with torch.no_grad():
        ours = model(**batch)
        theirs = getattr(stock, name).from_pretrained(tmp_path).eval()(**batch)
    if fields.get("pooler_activation"):
        # What it drops is a pooler.
        assert any(key.startswith("roformer.pooler.") for key in model.state_dict())
        return
    if "MultipleChoice" in name:
        alike = torch.allclose(ours.logits, theirs.logits, atol=1e-4)
    else:
        real = batch["attention_mask"].bool()
        alike = torch.allclose(ours[0][real], theirs[0][real], atol=1e-4)
    assert alike == same


@pytest.mark.parametrize("fields", [{}, V2, {"attention_mode": "unilm", "pooler_activation": "linear"}])
@pytest.mark.parametrize("stated", ["roformer", "roformer_v2"])
def test_both_types_are_read(stated, fields, tmp_path, caplog):
    model = tiny(hf_ext.RoFormerModel, dtype=torch.float32, **fields)
    model.save_pretrained(tmp_path)
    kind = saved_type(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": stated}))
    batch = tokens([7])
    for load in (AutoModel, hf_ext.RoFormerModel):
        found = load.from_pretrained(tmp_path).eval()
        assert type(found) is hf_ext.RoFormerModel
        assert type(found.config) is RoFormerConfig
        assert found.config.model_type == "roformer"
        assert torch.equal(found(**batch)[0], model(**batch)[0])
    found.save_pretrained(tmp_path)
    assert saved_type(tmp_path) == kind
    assert "instantiate a model of type" not in caplog.text


def test_a_config_is_made_of_its_own_settings():
    config = RoFormerConfig(**TINY | V2)
    for again in (AutoConfig.for_model(**config.to_dict()), RoFormerConfig(**config.to_dict())):
        assert type(again) is RoFormerConfig
        assert again.to_dict() == config.to_dict()
    assert type(AutoConfig.for_model("roformer_v2", norm_type="rms_norm")) is RoFormerConfig


def test_peft_knows_the_own_type():
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(tiny(hf_ext.RoFormerModel, **V2), LoraConfig())
    assert any("query.lora_A" in name for name, _ in model.named_parameters())


def test_a_folder_of_the_own_type_gets_the_tokenizer_of_the_originals(tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n天\n气\n", encoding="utf-8")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "roformer_v2", "vocab_size": 7, **V2}))
    assert type(AutoTokenizer.from_pretrained(tmp_path)).__name__ == "CharacterWordPieceTokenizer"
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    assert type(AutoTokenizer.from_pretrained(tmp_path)).__name__ == "CharacterWordPieceTokenizer"


def test_the_stock_class_does_not_know_the_own_type():
    assert "roformer_v2" not in transformers.models.auto.configuration_auto.CONFIG_MAPPING_NAMES
