"""What all models do with files, Auto classes, copies and settings; the table is in `models_tiny`."""

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from model_outputs import tensors
from models_tiny import ANY_ENCODER, FAMILIES, Case, all_cases, cases
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.models.auto import modeling_auto
from transformers.models.auto.auto_factory import _LazyAutoMapping

import hf_ext.models

LENGTHS = [6, 3, 1, 4]
# What users import of each family, beside its config.
PUBLIC = {
    "RoFormerConfig": {
        "RoFormerModel",
        "RoFormerForCausalLM",
        "RoFormerForMaskedLM",
        "RoFormerForMultipleChoice",
        "RoFormerForParaphrase",
        "RoFormerForQuestionAnswering",
        "RoFormerForSequenceClassification",
        "RoFormerForTokenClassification",
    },
    "NezhaConfig": {
        "NezhaModel",
        "NezhaForCausalLM",
        "NezhaForMaskedLM",
        "NezhaForMultipleChoice",
        "NezhaForQuestionAnswering",
        "NezhaForSequenceClassification",
        "NezhaForTokenClassification",
    },
    "UniLMBertConfig": {
        "UniLMBertModel",
        "UniLMBertForCausalLM",
        "UniLMBertForMaskedLM",
        "UniLMBertForMultipleChoice",
        "UniLMBertForParaphrase",
        "UniLMBertForQuestionAnswering",
        "UniLMBertForSequenceClassification",
        "UniLMBertForTokenClassification",
    },
    "CDialGPTConfig": {"CDialGPTModel", "CDialGPTForCausalLM"},
    "GAUAlphaConfig": {
        "GAUAlphaModel",
        "GAUAlphaForMaskedLM",
        "GAUAlphaForMultipleChoice",
        "GAUAlphaForQuestionAnswering",
        "GAUAlphaForSequenceClassification",
        "GAUAlphaForTokenClassification",
    },
    "FLASHConfig": {
        "FLASHModel",
        "FLASHForCausalLM",
        "FLASHForMaskedLM",
        "FLASHForMultipleChoice",
        "FLASHForQuestionAnswering",
        "FLASHForSequenceClassification",
        "FLASHForTokenClassification",
    },
    "TTAConfig": {
        "TTAModel",
        "TTAForMaskedLM",
        "TTAForMultipleChoice",
        "TTAForQuestionAnswering",
        "TTAForSequenceClassification",
        "TTAForTokenClassification",
    },
    "UniVAEConfig": {"UniVAEModel", "UniVAEForTextAutoencoding"},
    "LinearRoFormerConfig": {
        "LinearRoFormerModel",
        "LinearRoFormerForCausalLM",
        "LinearRoFormerForMaskedLM",
        "LinearRoFormerForMultipleChoice",
        "LinearRoFormerForQuestionAnswering",
        "LinearRoFormerForSequenceClassification",
        "LinearRoFormerForTokenClassification",
    },
    "RoPEViTConfig": {"RoPEViTModel", "RoPEViTForImageClassification"},
    "TokenMixerConfig": {
        "TokenMixerModel",
        "TokenMixerForMaskedLM",
        "TokenMixerForMultipleChoice",
        "TokenMixerForQuestionAnswering",
        "TokenMixerForSequenceClassification",
        "TokenMixerForTokenClassification",
    },
    "URPEConfig": {
        "URPEModel",
        "URPEForCausalLM",
        "URPEForMaskedLM",
        "URPEForMultipleChoice",
        "URPEForQuestionAnswering",
        "URPEForSequenceClassification",
        "URPEForTokenClassification",
    },
    "T5PegasusConfig": {"T5PegasusModel", "T5PegasusEncoderModel", "T5PegasusForConditionalGeneration"},
}


def is_model(name: str) -> bool:
    thing = getattr(hf_ext, name)
    return isinstance(thing, type) and issubclass(thing, PreTrainedModel)


def run(model: Any, case: Case) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return tensors(model(**case.batch(LENGTHS), **case.settings))


def same(model: Any, other: Any, case: Case) -> None:
    torch.testing.assert_close(run(other, case), run(model, case), rtol=0, atol=1e-13)


def test_the_table_is_complete() -> None:
    """Every public model is in it, and every head of the table is one of those or made for the family."""
    found: dict[str, set[str]] = {}
    for _, _, case in all_cases():
        if case.family.ours and case.auto not in ANY_ENCODER:
            found.setdefault(case.family.config.__name__, set()).add(case.model_class.__name__)
    assert found == PUBLIC
    assert set().union(*PUBLIC.values()) == {name for name in hf_ext.__all__ if is_model(name)}
    assert PUBLIC.keys() == {name for name in hf_ext.__all__ if name.endswith("Config")}


@pytest.mark.parametrize(
    "family", [family for family in FAMILIES.values() if family.ours], ids=lambda f: f.config.__name__
)
def test_no_auto_class_gives_a_model_of_another_package(family: Any) -> None:
    mappings = {name: m for name, m in vars(modeling_auto).items() if isinstance(m, _LazyAutoMapping)}
    found = {name: mapping[family.config] for name, mapping in mappings.items() if family.config in mapping}
    assert {model.__module__.partition(".")[0] for model in found.values()} == {"hf_ext"}
    without_auto_class = {
        name for name in PUBLIC[family.config.__name__] if name.endswith(("ForParaphrase", "ForTextAutoencoding"))
    }
    assert {model.__name__ for model in found.values()} == PUBLIC[family.config.__name__] - without_auto_class
    no_encoder = family.images or "CDial" in family.config.__name__
    assert ("MODEL_FOR_TEXT_ENCODING_MAPPING" in found) is not no_encoder


@pytest.mark.parametrize("case", cases(images=True))
def test_save_and_load(case: Case, tmp_path: Path) -> None:
    """The Auto class gives the same class and numbers again, and new weights for the config; on disk is safetensors."""
    model = case.make()
    model.save_pretrained(tmp_path)
    assert {file.suffix for file in tmp_path.iterdir()} == {".json", ".safetensors"}
    again, report = case.opener.from_pretrained(tmp_path, output_loading_info=True, attn_implementation=back_end(case))
    assert type(again) is case.model_class
    if case.opener is not case.model_class:
        assert type(case.opener.from_config(case.config())) is case.model_class
    assert again.dtype == torch.float64
    assert not any(report.values()), report
    same(model, again, case)
    # Nothing is kept twice, and no table that can be computed.
    written = {name for file in tmp_path.glob("*.safetensors") for name in load_file(file)}
    tied = set(model.get_expanded_tied_weights_keys(all_submodels=True))
    # What is drawn at random and not learnt is the one thing that ours keep beside parameters.
    buffers = {name for name, _ in model.named_buffers() if case.family.ours}
    assert {name.rpartition(".")[2] for name in buffers} <= {"omega"}
    assert written == ({name for name, _ in model.named_parameters(remove_duplicate=False)} | buffers) - tied


def back_end(case: Case) -> str:
    return case.family.back_ends[0]


@pytest.mark.parametrize("case", [c for c in cases(images=True) if not c.values[0].is_base])
def test_from_the_base_model_to_the_head_and_back(case: Case, tmp_path: Path) -> None:
    base = case._replace(auto="AutoModel")
    plain, model = base.make(), case.make()
    plain.save_pretrained(tmp_path / "base")
    head, report = case.opener.from_pretrained(tmp_path / "base", output_loading_info=True, **labels_of(case))
    # A pair's head has no prefix of its own.
    prefix = f"{model.base_model_prefix}." if hasattr(model, model.base_model_prefix) else ""
    names = {name for name, _ in head.named_parameters(remove_duplicate=False)}
    encoder = {prefix + name for name, _ in plain.named_parameters(remove_duplicate=False)}
    tied = head.get_expanded_tied_weights_keys(all_submodels=True)
    assert report["missing_keys"] == {name for name in names - encoder if tied.get(name) not in encoder}
    assert not report["mismatched_keys"]
    # Transformers' own heads say that they leave the pooler out.
    assert not {name for name in report["unexpected_keys"] if case.family.ours or not name.startswith("pooler.")}
    kept = dict(head.named_parameters(remove_duplicate=False))
    for name, weight in plain.named_parameters():
        if prefix + name in kept:
            assert torch.equal(kept[prefix + name], weight), name
        else:
            assert name.startswith("pooler."), name
    for name in report["missing_keys"]:
        assert kept[name].isfinite().all()

    model.save_pretrained(tmp_path / "head")
    bare, report = AutoModel.from_pretrained(
        tmp_path / "head", output_loading_info=True, attn_implementation=back_end(case)
    )
    assert type(bare) is case.base_class
    # A head without a pooler has none to give.
    assert not {name for name in report["missing_keys"] if not name.startswith("pooler.")}
    trained = dict(model.named_parameters())
    for name, weight in bare.named_parameters():
        assert name in report["missing_keys"] or torch.equal(weight, trained[prefix + name]), name


def labels_of(case: Case) -> dict[str, Any]:
    return {"num_labels": 3} if "Classification" in case.auto or case.auto in ANY_ENCODER else {}


def tied_pairs(model: Any) -> dict[str, str]:
    return model.get_expanded_tied_weights_keys(all_submodels=True)


@pytest.mark.parametrize(
    "case", cases("AutoModelForMaskedLM", "AutoModelForCausalLM", "AutoModelForSeq2SeqLM", ours=True)
)
@pytest.mark.parametrize("tie", [True, False])
def test_tied_weights(case: Case, tie: bool, tmp_path: Path) -> None:
    """Tied in a new model, after a load, a copy, a resize and a load of that; and not where the config says so."""
    model = case.make(tie_word_embeddings=tie)
    model.save_pretrained(tmp_path)
    again = case.model_class.from_pretrained(tmp_path)
    assert again.config.tie_word_embeddings is tie
    for one in (model, again, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert (one.get_output_embeddings().weight is one.get_input_embeddings().weight) is tie
        for own, source in tied_pairs(one).items():
            assert one.get_parameter(own) is one.get_parameter(source)
    ids = case.batch(LENGTHS)
    with torch.no_grad():
        before = model(**ids).logits
        for size in (75, 60):
            model.resize_token_embeddings(size, mean_resizing=False)
            assert model.config.get_text_config().vocab_size == size
            logits = model(**ids).logits
            assert logits.shape[-1] == size
            torch.testing.assert_close(logits[..., :60], before, rtol=0, atol=1e-12)
    model.resize_token_embeddings(75, mean_resizing=False)
    assert (model.get_output_embeddings().weight is model.get_input_embeddings().weight) is tie
    model.save_pretrained(tmp_path)
    same(model, case.model_class.from_pretrained(tmp_path), case)
    batch = case.batch(LENGTHS)
    batch["input_ids"] = batch["input_ids"] + 15
    assert model(**batch, **case.labels(batch)).loss.isfinite()


@pytest.mark.parametrize("case", cases("AutoModel", "AutoModelForSequenceClassification"))
def test_resized_embeddings(case: Case) -> None:
    model = case.make()
    before = run(model, case)
    model.resize_token_embeddings(75)
    assert model.get_input_embeddings().num_embeddings == model.config.vocab_size == 75
    torch.testing.assert_close(run(model, case), before, rtol=0, atol=0)
    batch = case.batch(LENGTHS)
    batch["input_ids"] = batch["input_ids"] + 15
    assert all(value.isfinite().all() for value in tensors(model(**batch)).values())


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["copy", "pickle"])
@pytest.mark.parametrize("case", cases(once=True, images=True))
def test_copies(case: Case, duplicate: Any) -> None:
    model = case.make()
    again = duplicate(model)
    assert type(again) is type(model)
    assert duplicate(model.config).to_dict() == model.config.to_dict()
    same(model, again, case)
    with torch.no_grad():
        for parameter in again.parameters():
            parameter.zero_()
    assert any(value.any() for value in run(model, case).values())


TYPES = {name: next(case for family, _, case in all_cases() if family == name) for name in FAMILIES}
# Weights of the first are those of the second by name and meaning.
READABLE = {("bert", "unilm_bert"), ("roformer", "univae")}
STRANGERS = [(a, b) for a in TYPES for b in TYPES if a != b and FAMILIES[b].ours and (a, b) not in READABLE]


@pytest.mark.parametrize(("saved", "opened"), STRANGERS)
def test_files_of_another_family(saved: str, opened: str, tmp_path: Path) -> None:
    TYPES[saved].config().save_pretrained(tmp_path)
    model_class = TYPES[opened].model_class
    with pytest.raises(ValueError, match=f"model_type must be '{opened}'.*got '{saved}'"):
        model_class.from_pretrained(tmp_path)


def test_weights_of_bert_under_a_choice_of_masks(tmp_path: Path) -> None:
    bert, ours = TYPES["bert"], TYPES["unilm_bert"]
    model = bert.make()
    model.save_pretrained(tmp_path)
    again = ours.model_class.from_pretrained(tmp_path, attention_mode="bidirectional", pooler_activation="tanh")
    torch.testing.assert_close(run(again, ours), run(model, bert), atol=1e-12, rtol=0)


# Fields of relatives that change what is computed.
FOREIGN = {
    "position_embedding_type",
    "normalization",
    "attention_scale",
    "norm_position",
    "is_glu",
    "hierarchical_position",
    "shared_segment_embeddings",
}


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.ours])
def test_fields_that_change_the_numbers_are_refused(name: str, tmp_path: Path) -> None:
    case = TYPES[name]
    assert case.family.config.fixed_fields.keys() | {"attention_scale", "normalization"} >= FOREIGN
    for field in FOREIGN | case.family.config.fixed_fields.keys():
        # Transformers writes one of the two as the other.
        message = r"rope_(scaling|parameters)\b" if field.startswith("rope_") else rf"{field}\b"
        with pytest.raises(StrictDataclassError, match=message):
            case.config(**{field: "something else"})
    # The same in a file, whichever class opens it.
    case.config().save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"norm_position": "sandwich"}))
    for auto in (AutoConfig, AutoModel, case.model_class):
        with pytest.raises(StrictDataclassError, match=r"norm_position must be '(post|pre)'.*got 'sandwich'"):
            auto.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.ours])
def test_fields_that_change_nothing_are_kept(name: str, tmp_path: Path) -> None:
    TYPES[name].config(my_note="kept").save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).my_note == "kept"
