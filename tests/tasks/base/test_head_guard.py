"""A folder with a head of ours gives an error where a stock class or pipeline would answer with a random head."""

import json
from pathlib import Path
from typing import Any

import fresh_process
import pytest
import torch
import transformers
from fake_hub import FakeHub
from models_tiny import ANY_ENCODER
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModel, BertConfig, BertForTokenClassification, pipeline
from transformers.models.auto import modeling_auto

import hf_ext
from hf_ext import build_char_tokenizer
from hf_ext.tasks.base.head_guard import OtherHeadError, guard_auto_classes, trained_head
from hf_ext.tasks.base.saved_model import SavedModel
from hf_ext.training.upload import upload

TASKS = {
    "AutoModelForSpanExtraction": "span-extraction",
    "AutoModelForSequenceLabeling": "sequence-labeling",
    "AutoModelForRelationExtraction": "relation-extraction",
    "AutoModelForEventExtraction": "event-extraction",
    "AutoModelForReadingComprehension": "reading-comprehension",
    "AutoModelForLinearClassification": "classification",
    "AutoModelForLinearChoice": "multiple-choice",
    "AutoModelForHalfPointerRelations": "half-pointer-relation-extraction",
    "AutoModelForEventTagging": "event-tagging",
}
LABELS = {
    "AutoModelForSequenceLabeling": ["O", "B-人", "I-人"],
    "AutoModelForEventExtraction": ["到:触发词", "到:人"],
    "AutoModelForReadingComprehension": ["LABEL_0", "LABEL_1"],
    "AutoModelForLinearChoice": ["LABEL_0", "LABEL_1"],
    "AutoModelForEventTagging": ["O", "B-到|人", "I-到|人"],
}
STOCK = (
    "AutoModelForTokenClassification",
    "AutoModelForSequenceClassification",
    "AutoModelForQuestionAnswering",
    "AutoModelForMultipleChoice",
    "AutoModelForMaskedLM",
    "AutoModelForCausalLM",
    "AutoModelForPreTraining",
)
PIPELINES = ("token-classification", "ner", "text-classification", "classification", "fill-mask", "text-generation")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with each head of ours."""
    assert {*TASKS} == {*ANY_ENCODER}
    torch.manual_seed(0)
    tokenizer = build_char_tokenizer(["张三在北京"])
    made = {}
    for name in ANY_ENCODER:
        labels = LABELS.get(name, ["人", "地"])
        sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
        names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
        made[name] = tmp_path_factory.mktemp(name)
        config = BertConfig(vocab_size=len(tokenizer), **sizes, **names)
        getattr(hf_ext, name).from_config(config).save_pretrained(made[name])
        tokenizer.save_pretrained(made[name])
    return made


@pytest.mark.parametrize("name", ANY_ENCODER)
def test_other_auto_classes_name_the_right_one(name: str, folders: dict[str, Path]) -> None:
    folder, head = folders[name], name.removeprefix("AutoModel")
    for other in (*STOCK, *(one for one in ANY_ENCODER if one != name)):
        auto_class = getattr(hf_ext if other in ANY_ENCODER else transformers, other)
        wanted = (
            f"{folder} holds a Bert{head}, and {other} would put a new, untrained head in the place of its own; "
            f'load it by hf_ext.{name} or pipeline("{TASKS[name]}"). '
        )
        for given in ({}, {"config": AutoConfig.from_pretrained(folder)}):
            with pytest.raises(OtherHeadError) as error:
                auto_class.from_pretrained(folder, **given)
            assert str(error.value).startswith(wanted)


@pytest.mark.parametrize("name", ANY_ENCODER)
def test_other_pipelines_name_the_right_one(name: str, folders: dict[str, Path]) -> None:
    make_pipeline: Any = pipeline
    for task in {*PIPELINES, *TASKS.values()} - {TASKS[name]}:
        with pytest.raises(OtherHeadError, match=rf'or pipeline\("{TASKS[name]}"\)\. Its encoder'):
            make_pipeline(task, model=str(folders[name]), device="cpu")


@pytest.mark.parametrize("name", ANY_ENCODER)
def test_what_is_meant_is_loaded(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    """The model itself, its encoder, and new heads over that where they are asked for."""
    folder = folders[name]
    model = getattr(hf_ext, name).from_pretrained(folder)
    assert pipeline(TASKS[name], model=str(folder), device="cpu").model.config.architectures == [type(model).__name__]
    encoder = AutoModel.from_pretrained(folder)
    given = model.bert.embeddings.word_embeddings.weight
    assert torch.equal(encoder.embeddings.word_embeddings.weight, given)
    assert pipeline("feature-extraction", model=str(folder), device="cpu")("张三")
    for labels in ({"num_labels": 3}, {"id2label": {0: "A", 1: "B", 2: "C"}, "label2id": {"A": 0, "B": 1, "C": 2}}):
        new = transformers.AutoModelForTokenClassification.from_pretrained(folder, **labels)
        assert new.config.num_labels == 3
        assert torch.equal(new.bert.embeddings.word_embeddings.weight, given)
    # Of the class that is named, or of the encoder by itself.
    assert torch.equal(BertForTokenClassification.from_pretrained(folder).bert.embeddings.word_embeddings.weight, given)
    encoder.save_pretrained(tmp_path)
    transformers.AutoModelForMaskedLM.from_pretrained(tmp_path)


def test_of_a_name_on_the_hub(folders: dict[str, Path], hub: FakeHub) -> None:
    upload(folders["AutoModelForSpanExtraction"], "org/name")
    for given in ({}, {"output_loading_info": True}):
        with pytest.raises(OtherHeadError, match=r"^org/name holds a BertForSpanExtraction, and AutoModelForToken"):
            transformers.AutoModelForTokenClassification.from_pretrained("org/name", **given)
    hf_ext.AutoModelForSpanExtraction.from_pretrained("org/name")
    AutoModel.from_pretrained("org/name")


def test_of_an_adapter_with_a_head(folders: dict[str, Path], tmp_path: Path, hub: FakeHub) -> None:
    """Over an encoder without one, so that the adapter alone says which head it has."""
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    AutoModel.from_pretrained(folders["AutoModelForSpanExtraction"]).save_pretrained(base)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders["AutoModelForSpanExtraction"])
    labels = {"id2label": {0: "人", 1: "地"}, "label2id": {"人": 0, "地": 1}}
    model = hf_ext.AutoModelForSpanExtraction.from_pretrained(base, **labels)
    get_peft_model(model, LoraConfig(r=2, modules_to_save=["classifier"])).save_pretrained(adapter)
    for one in (base, adapter):
        tokenizer.save_pretrained(one)
    upload(adapter, "org/adapter")
    make_pipeline: Any = pipeline
    wanted = r"^{} holds a BertForSpanExtraction, and AutoModelForTokenClassification would"
    for name in (str(adapter), "org/adapter"):
        with pytest.raises(OtherHeadError, match=wanted.format(name)):
            transformers.AutoModelForTokenClassification.from_pretrained(name)
        with pytest.raises(OtherHeadError, match=wanted.format(name)):
            make_pipeline("token-classification", model=name, device="cpu")
        found = make_pipeline("span-extraction", model=name, device="cpu", threshold=0)("张三在北京")
        assert found
        AutoModel.from_pretrained(name)
        assert SavedModel.read(name).predictor()[0] == "span-extraction"


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    BertForTokenClassification(config).save_pretrained(tmp_path)
    for name in ("AutoModelForTokenClassification", "AutoModelForSequenceClassification"):
        getattr(transformers, name).from_pretrained(tmp_path)
    for names in (None, []):
        saved = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(saved | {"architectures": names}))
        transformers.AutoModelForTokenClassification.from_pretrained(tmp_path)
    assert trained_head("BertForTokenClassification") is None
    assert trained_head("GAUAlphaForMaskedLM") is None
    assert trained_head("GAUAlphaForSpanExtraction") is hf_ext.AutoModelForSpanExtraction


def test_each_auto_class_is_guarded_once() -> None:
    names = [name for name in vars(modeling_auto) if name.startswith("AutoModelFor")]
    assert len(names) > 20
    before = {name: getattr(transformers, name).__dict__.get("from_pretrained") for name in names}
    assert [name for name, own in before.items() if own is not None and not hasattr(own.__func__, "guarded")] == []
    guard_auto_classes()
    assert {name: getattr(transformers, name).__dict__.get("from_pretrained") for name in names} == before


def test_importing_the_package_is_enough(folders: dict[str, Path]) -> None:
    code = """
import sys
import hf_ext
from transformers import AutoModelForTokenClassification
AutoModelForTokenClassification.from_pretrained(sys.argv[1])
"""
    done = fresh_process.run(code, str(folders["AutoModelForSpanExtraction"]))
    assert done.returncode == 1
    assert 'load it by hf_ext.AutoModelForSpanExtraction or pipeline("span-extraction")' in done.stderr
