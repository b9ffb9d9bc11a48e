"""Each thing that is used of Transformers beside its documented interface still does what it is used for."""

import ast
import inspect
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers.trainer
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from evaluate import Metric
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForMultipleChoice,
    BatchEncoding,
    BertConfig,
    BertModel,
    GenerationMixin,
    MT5ForConditionalGeneration,
    Pipeline,
    PreTrainedConfig,
    PreTrainedModel,
    TokenizersBackend,
    Trainer,
)
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.mt5.modeling_mt5 import MT5Attention

import hf_ext
from hf_ext import transformers_private as private
from hf_ext.tasks.base.head import HeadMapping
from hf_ext.tasks.entities.span_head import SpanExtraction

PACKAGE = Path(hf_ext.__file__).parent
TINY: dict[str, Any] = {"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture
def bert() -> BertModel:
    return BertModel(BertConfig(**TINY, intermediate_size=8), add_pooling_layer=False)


def test_nothing_private_is_imported_elsewhere() -> None:
    """No module of ours names what Transformers begins with an underscore, and none is left out of this test."""
    found = []
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("transformers"):
                found += [(file.name, one.name) for one in node.names if re.match("_[a-zA-Z]", one.name)]
            if isinstance(node, ast.Attribute) and node.attr == "_attn_implementation":
                found.append((file.name, node.attr))
    assert {name for name, _ in found} == {"transformers_private.py"}
    tested = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in private.__all__ if f"private.{name}" not in tested] == []


# What classes of ours override or call of a class that they inherit, or of a layer that they hold.
PROTECTED: dict[type, list[str]] = {
    BatchEncoding: ["_encodings", "_n_sequences"],
    GenerationMixin: ["_assisted_decoding", "_supports_default_dynamic_cache", "_update_model_kwargs_for_generation"],
    Metric: ["_compute", "_info"],
    MT5Attention: ["_relative_position_bucket"],
    MT5ForConditionalGeneration: ["_shift_right"],
    Pipeline: ["_forward", "_forward_params", "_postprocess_params", "_preprocess_params", "_sanitize_parameters"],
    PreTrainedModel: ["_from_config", "_init_weights", "_initialize_weights", "_is_stateful", "_upload_modified_files"],
    TokenizersBackend: [
        "_encode_plus",
        "_eventual_warn_about_too_long_sequence",
        "_save_pretrained",
        "_special_tokens_map",
    ],
    Trainer: [
        "_get_train_sampler",
        "_issue_warnings_after_load",
        "_prepare_inputs",
        "_remove_unused_columns",
        "_train_batch_size",
    ],
}


@pytest.mark.parametrize("owner", PROTECTED, ids=lambda owner: owner.__name__)
def test_protected_names_are_there(owner: type) -> None:
    """Of the class, or set by it or a class it inherits."""
    libraries = ("transformers", "evaluate")
    source = "".join(inspect.getsource(one) for one in owner.__mro__ if one.__module__.startswith(libraries))
    assigned = r"^    {0}\b.* = |\bself\.{0}\b.* = |\bdef {0}\b"
    assert [name for name in PROTECTED[owner] if not re.search(assigned.format(name), source, re.M)] == []


def test_no_other_protected_name_is_called() -> None:
    own, called = {"_fields", "_replace"}, set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                own.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                own.add(node.id)
            elif isinstance(node, ast.Attribute) and re.match("_[a-zA-Z]", node.attr):
                if isinstance(node.ctx, ast.Store):
                    own.add(node.attr)
                elif file.name != "transformers_private.py":
                    called.add(node.attr)
    # Kept by a frozen dataclass under a name that only its own code reads.
    own.add("_templates")
    # PyTorch's operators, whose work is counted.
    own |= {f"_scaled_dot_product_flash_attention_for_cpu{part}" for part in ("", "_backward")}
    # Its kernels over many tensors at once, which its own optimisers call.
    own |= {name for name in dir(torch) if name.startswith("_foreach_")}
    # By which PyTorch's hooks are taken away that others have set.
    own.add("_forward_hooks")
    assert called - own - {name for names in PROTECTED.values() for name in names} == set()


@pytest.mark.parametrize("name", ["eager", "sdpa"])
def test_attention_implementation(bert: BertModel, name: str) -> None:
    bert.set_attn_implementation(name)
    assert private.attention_implementation(bert.config) == name


def test_base_auto_class() -> None:
    class AutoModelForThis(private.BaseAutoModelClass):
        _model_mapping = HeadMapping(SpanExtraction)

    model = AutoModelForThis.from_config(BertConfig(**TINY, intermediate_size=8))
    assert type(model).__name__ == "BertForSpanExtraction"
    with pytest.raises(ValueError, match="Unrecognized configuration class"):
        AutoModelForThis.from_config(PreTrainedConfig())
    AutoModelForThis.register(BertConfig, BertModel, exist_ok=True)
    assert AutoModelForThis._model_mapping[BertConfig] is BertModel
    with pytest.raises(ValueError, match="exist_ok must be True to take another class for BertConfig"):
        AutoModelForThis.register(BertConfig, BertModel)


def test_has_class_for() -> None:
    assert private.has_class_for(AutoModelForMultipleChoice, BertConfig())
    assert not private.has_class_for(AutoModelForMultipleChoice, PreTrainedConfig())


def test_registered_models() -> None:
    class PluginConfig(PreTrainedConfig):
        model_type = "plugin_of_another_package"

    class PluginModel(PreTrainedModel):
        config_class = PluginConfig

    AutoModel.register(PluginConfig, PluginModel, exist_ok=True)
    found = dict(private.registered_models())
    assert found[PluginConfig] is PluginModel
    assert found[hf_ext.RoFormerConfig] is hf_ext.RoFormerModel
    assert BertConfig not in found


def test_tokenizer_classes_by_name() -> None:
    assert private.REGISTERED_TOKENIZER_CLASSES["JiebaWordPieceTokenizer"] is hf_ext.JiebaWordPieceTokenizer


def test_padding_without_a_warning() -> None:
    tokenizer = hf_ext.build_char_tokenizer(["ab"])
    rows = [{"input_ids": [5], "other": 0}, {"input_ids": [5, 6], "other": 0}]
    padded = private.pad_inputs(tokenizer, rows, padding_side="left")
    assert set(padded) == {"input_ids", "attention_mask"}
    assert padded["attention_mask"].tolist() == [[0, 1], [1, 1]]


def test_decaying_parameters(bert: BertModel) -> None:
    names = private.decaying_parameters(bert)
    assert "encoder.layer.0.output.dense.weight" in names
    assert not {name for name in names if name.endswith("bias") or "LayerNorm" in name}


def test_default_callbacks() -> None:
    assert private.default_callbacks(transformers.trainer) is transformers.trainer.DEFAULT_CALLBACKS
    assert {one.__name__ for one in transformers.trainer.DEFAULT_CALLBACKS} >= {"HeadLearningRate"}


def test_shifted_labels() -> None:
    assert private.shifts_smoothed_labels(transformers.Qwen3ForCausalLM)
    assert not private.shifts_smoothed_labels(hf_ext.NezhaForCausalLM)


def test_accelerate_prepares_a_model_anew(bert: BertModel) -> None:
    """What it has prepared without a process to share it with, it would pass over."""
    accelerator = Accelerator(cpu=True)
    accelerator.prepare_model(bert, evaluation_mode=True)
    assert "_is_accelerate_prepared" in vars(bert)
    private.forget_preparation(bert)
    assert "_is_accelerate_prepared" not in vars(bert)
    private.forget_preparation(bert)


@pytest.mark.parametrize("own", [False, True], ids=["class's forward", "own forward"])
def test_mixed_precision_is_forgotten(bert: BertModel, own: bool) -> None:
    if own:
        bert.forward = partial(bert.forward, output_hidden_states=True)
    before = bert.forward
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(cpu=True, mixed_precision="bf16")
    for _ in range(2):
        accelerator.prepare_model(bert, evaluation_mode=True)
        assert bert.forward != before
        private.forget_preparation(bert)
        assert bert.forward == before
        assert ("forward" in vars(bert)) is own
        assert "_original_forward" not in vars(bert)
    # Its decorators are there still.
    assert bert(torch.ones(1, 2, dtype=torch.long), return_dict=False)[0].shape == (1, 2, 8)
    AcceleratorState._reset_state(reset_partial_state=True)


def test_registered_task_is_forgotten() -> None:
    pipeline_class = type("Own", (), {"_registered_impl": {"task": {}}})
    private.forget_registered_task(pipeline_class)
    assert not hasattr(pipeline_class, "_registered_impl")


def test_recorded_outputs() -> None:
    """Hooks record what the layers take and give; an option of the config is what an argument is not."""

    class Doubling(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return 2 * x, x + 1

    class Doubled(PreTrainedModel):
        config_class = BertConfig
        _can_record_outputs = {"hidden_states": private.OutputRecorder(Doubling, index=1)}  # noqa: RUF012

        def __init__(self, config: BertConfig) -> None:
            super().__init__(config)
            self.layer = Doubling()

        @private.merge_with_config_defaults
        @private.capture_outputs
        def forward(self, x: torch.Tensor, use_cache: bool | None = None, **kwargs: Any) -> BaseModelOutput:
            self.seen = use_cache
            return BaseModelOutput(last_hidden_state=self.layer(x)[0])

    model = Doubled(BertConfig(use_cache=False))
    assert model(torch.ones(1)).hidden_states is None
    assert model.seen is False
    states = model(torch.ones(1), output_hidden_states=True).hidden_states
    # What the layer takes, and last what the model gives.
    assert [state.tolist() for state in states] == [[1.0], [2.0]]
