"""Importing makes the Auto classes and PEFT know the models, whatever is imported first, and as often as one likes."""

import json
import os
import pkgutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import fresh_process
import pytest
import transformers
from roformer_tiny import tiny, tiny_config
from transformers.models.auto import CONFIG_MAPPING, modeling_auto
from transformers.models.auto.auto_factory import _LazyAutoMapping
from transformers.utils.auto_docstring import get_checkpoint_from_config_class

import hf_ext
from hf_ext.models.roformer import (
    RoFormerConfig,
    RoFormerForMaskedLM,
    RoFormerForSequenceClassification,
    RoFormerModel,
)
from hf_ext.registration import register_family

MAPPINGS = {name: one for name, one in vars(modeling_auto).items() if isinstance(one, _LazyAutoMapping)}


def in_a_new_process(code: str, **environment: str) -> dict[str, object]:
    """What the code prints as JSON; it fails with what the code writes to stderr."""
    done = fresh_process.run(code, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_every_auto_class_that_knows_roformer_gives_ours() -> None:
    """One that were left out would build the stock model on our config without a word."""
    stock = {name for name, one in MAPPINGS.items() if "roformer" in one._model_mapping}
    ours = {name: one[RoFormerConfig] for name, one in MAPPINGS.items() if RoFormerConfig in one}
    assert len(stock) == 8
    assert ours.keys() == stock
    for name, found in ours.items():
        assert isinstance(found, type), name
        assert found.__module__ == "hf_ext.models.roformer.modeling_roformer", name
        assert found.config_class is RoFormerConfig
    assert type(transformers.AutoConfig.for_model("roformer")) is RoFormerConfig


def test_registering_twice_changes_nothing() -> None:
    before = {name: one[RoFormerConfig] for name, one in MAPPINGS.items() if RoFormerConfig in one}
    models = {"AutoModel": RoFormerModel, "AutoModelForMaskedLM": RoFormerForMaskedLM}
    register_family(RoFormerConfig, models, adapter_targets=("query", "value"))
    assert {name: one[RoFormerConfig] for name, one in MAPPINGS.items() if RoFormerConfig in one} == before
    assert type(transformers.AutoModelForMaskedLM.from_config(tiny_config())) is RoFormerForMaskedLM


def test_nothing_is_printed(tmp_path: Path) -> None:
    """Not by importing, nor by the stock families that find our configs, nor by pipelines: stdout is the user's."""
    tiny(RoFormerForSequenceClassification, num_labels=2).save_pretrained(tmp_path)
    hf_ext.JiebaWordPieceTokenizer().save_pretrained(tmp_path)
    code = f"""
import hf_ext
import transformers.models.mt5.modeling_mt5, transformers.models.roformer.modeling_roformer
from transformers import pipeline
for task in ("text-classification", "text-embedding"):
    assert len(pipeline(task, model={str(tmp_path)!r})(["今天天气", "好"])) == 2
"""
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_every_config_names_a_checkpoint_to_the_library() -> None:
    """It prints an error for each head of a stock family whose config, now ours, shows no link in its docstring."""
    kinds = ["mt5", *(folder.name for folder in pkgutil.iter_modules(hf_ext.models.__path__) if folder.ispkg)]
    stock = [kind for kind in kinds if find_spec(f"transformers.models.{kind}") is not None]
    assert {"mt5", "roformer"} <= set(stock)
    for kind in stock:
        assert get_checkpoint_from_config_class(CONFIG_MAPPING[kind]), kind


@pytest.mark.parametrize("keep", ["1", ""])
def test_the_stock_family_can_be_kept(keep: str, tmp_path: Path) -> None:
    """And PEFT's tables know ours, also where PEFT is imported first."""
    tiny(RoFormerForMaskedLM).save_pretrained(tmp_path)
    hf_ext.JiebaWordPieceTokenizer().save_pretrained(tmp_path)
    code = f"""
import json
{"" if keep else "import peft.utils.constants as constants"}
import hf_ext
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer
from transformers.utils import logging
logging.set_verbosity_error()
model = AutoModelForMaskedLM.from_pretrained({str(tmp_path)!r})
config = AutoConfig.from_pretrained({str(tmp_path)!r})
tokenizer = AutoTokenizer.from_pretrained({str(tmp_path)!r})
tables = {"{}" if keep else "vars(constants)"}
kinds = [k for k in tables if k.endswith("_TARGET_MODULES_MAPPING") and "roformer" in tables[k]]
lora = tables.get("TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING", {{}}).get("roformer")
print(json.dumps([type(model).__module__, type(config).__module__, type(tokenizer).__name__, lora, len(kinds)]))
"""
    model, config, tokenizer, lora, kinds = in_a_new_process(code, HF_EXT_KEEP_ROFORMER=keep)
    package = "transformers" if keep else "hf_ext"
    assert model == f"{package}.models.roformer.modeling_roformer"
    assert config == f"{package}.models.roformer.configuration_roformer"
    # The word tokenizer is no matter of the family: its folders open in any case.
    assert tokenizer == "JiebaWordPieceTokenizer"
    if not keep:
        assert lora == ["query", "value"]
        assert kinds > 3


def test_tables_of_peft_that_was_imported_later() -> None:
    constants = __import__("peft.utils.constants", fromlist=["constants"])
    assert constants.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING["roformer"] == ["query", "value"]
    # IA3 adapts other layers than LoRA does: its rows are not ours to guess.
    tables = {name: one for name, one in vars(constants).items() if name.endswith("_TARGET_MODULES_MAPPING")}
    bert = tables["TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING"]["bert"]
    for name, table in tables.items():
        assert ("roformer" in table) == (table.get("bert") == bert), name


def test_public_names() -> None:
    assert set(hf_ext.__all__) <= set(dir(hf_ext))
    for name in hf_ext.__all__:
        assert getattr(hf_ext, name) is not None
    with pytest.raises(AttributeError, match="No hf_ext attribute RoFormerForNothing"):
        _ = hf_ext.RoFormerForNothing
