"""All that is used of Transformers beside its documented interface, so that an upgrade breaks in one place.

Left where they are: class attributes that models are meant to set (``_supports_*``, ``_no_split_modules``), and what a
subclass overrides or inherits. `tests/test_transformers_private.py` names each of all these.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedConfig, PreTrainedTokenizerBase
from transformers.data.data_collator import pad_without_fast_tokenizer_warning
from transformers.models.auto.auto_factory import _BaseAutoModelClass
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_MAPPING
from transformers.models.auto.tokenization_auto import REGISTERED_TOKENIZER_CLASSES
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "REGISTERED_TOKENIZER_CLASSES",
    "BaseAutoModelClass",
    "OutputRecorder",
    "attention_implementation",
    "capture_outputs",
    "decaying_parameters",
    "default_callbacks",
    "forget_preparation",
    "forget_registered_task",
    "has_class_for",
    "merge_with_config_defaults",
    "pad_inputs",
    "registered_models",
    "shifts_smoothed_labels",
]

BaseAutoModelClass: Any = _BaseAutoModelClass
"""What an Auto class of ours inherits: there is no other way to one."""


def attention_implementation(config: PreTrainedConfig) -> str:
    """The name of the back end that a model runs; the config has it without the underscore only while it is made."""
    return str(config._attn_implementation)


def has_class_for(auto_class: Any, config: PreTrainedConfig) -> bool:
    """Whether an Auto class knows a class of models for a config."""
    return type(config) in auto_class._model_mapping


def registered_models() -> Iterator[tuple[type[PreTrainedConfig], Any]]:
    """Config and model classes that packages beside Transformers have given to ``AutoModel.register``."""
    yield from MODEL_MAPPING._extra_content.items()


def shifts_smoothed_labels(model_class: "type[nn.Module]") -> bool:
    """Whether Trainer, smoothing labels, takes a model's logits for those of the next token: by the class's name."""
    return model_class.__name__ in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()


def pad_inputs(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Mapping[str, Any]], **options: Any) -> dict[str, Any]:
    """The model inputs of rows as a batch of tensors ``[B, L]``, for collators.

    Args:
        tokenizer: names the model inputs and pads them; it is not heard warning that encoding and padding at once would
            be faster.
        rows: their other columns are dropped.
        **options: of ``tokenizer.pad``.
    """
    names = tokenizer.model_input_names
    inputs = [{name: row[name] for name in names if name in row} for row in rows]
    return dict(pad_without_fast_tokenizer_warning(tokenizer, inputs, return_tensors="pt", **options))


def default_callbacks(trainer: ModuleType) -> list[Any]:
    """The callbacks that every Trainer has, of the module ``transformers.trainer``; to be added to."""
    callbacks: list[Any] = trainer.DEFAULT_CALLBACKS
    return callbacks


def decaying_parameters(model: "nn.Module") -> set[str]:
    """Names of the parameters that Trainer lets decay."""
    from transformers import Trainer

    # A method that ignores the trainer it is called of.
    return set(Trainer.get_decay_parameter_names(None, model))  # type: ignore[arg-type]


def forget_preparation(model: "nn.Module") -> None:
    """Take away Accelerate's mark that a model is prepared, so that Trainer has it prepared anew.

    With mixed precision also what it has put around ``forward``. Accelerate's own unwrapping would take away our
    decorators too, as it never finds the forward that it looks for.
    """
    vars(model).pop("_is_accelerate_prepared", None)
    original = vars(model).pop("_original_forward", None)
    if original is None:
        return
    del model.forward
    if original != model.forward:
        # One that the model had of its own.
        model.forward = original


def forget_registered_task(pipeline_class: Any) -> None:
    """Have a saved pipeline not name its class as remote code, whose reload would ask for trust."""
    del pipeline_class._registered_impl
