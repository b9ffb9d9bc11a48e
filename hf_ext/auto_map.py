"""What the ``auto_map`` of a model and of a tokenizer says of their classes, for those that load them by code."""

from typing import Any

from transformers import PreTrainedConfig, PreTrainedModel

from hf_ext.carried_code import entry_of
from hf_ext.registration import FAMILIES


def model_auto_map(
    config_class: type[PreTrainedConfig], model_class: type[PreTrainedModel] | None, entry: str
) -> dict[str, str]:
    """The class for each Auto class, ``"<entry>.<class>"``; none of a model that is Transformers' own.

    `AutoModel` gives a head of ours with its encoder. The family's other classes are named too: of a config with a name
    that Transformers knows it would build its own.

    Args:
        config_class: of the model.
        model_class: of the model; None: not known, or the family's own.
        entry: the file that is to have the classes.
    """
    classes: dict[str, type] = {}
    if config_class in FAMILIES:
        classes = {"AutoConfig": config_class, **FAMILIES[config_class]}
    if model_class is not None and getattr(model_class, "backbone_class", None):
        classes["AutoModel"] = model_class
    return {name: f"{entry}.{one.__name__}" for name, one in classes.items()}


def tokenizer_auto_map(tokenizer_class: type, entry: str) -> dict[str, Any]:
    """The same of a tokenizer, whose classes in Python and in Rust are named."""
    return {"AutoTokenizer": [f"{entry}.{tokenizer_class.__name__}", None]}


def mark_code(model: PreTrainedModel, tokenizer: Any, entry: str) -> None:
    """Have a model and its tokenizer saved with code from now on, as far as they are this package's.

    Args:
        model: a model.
        tokenizer: its tokenizer or image processor, or None.
        entry: the file of code.
    """
    config: Any = model.config
    if auto_map := model_auto_map(type(config), type(model), entry):
        config.auto_map = auto_map
    elif entry_of(getattr(config, "auto_map", None)):
        # Of the folder that it was made from, which had a head of ours.
        del config.auto_map
    # An image processor, which is none of ours, has no such settings.
    settings: dict[str, Any] | None = getattr(tokenizer, "init_kwargs", None)
    if settings is not None:
        if getattr(tokenizer, "needs_code", False):
            settings["auto_map"] = tokenizer_auto_map(type(tokenizer), entry)
        elif entry_of(settings.get("auto_map")):
            del settings["auto_map"]
