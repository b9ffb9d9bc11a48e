"""Has every Auto class refuse a folder, or an adapter, whose head is one of ours, and another than its own.

It would put a new head of random weights over the folder's encoder, and answer with it.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import transformers
from transformers import AutoModel, PreTrainedConfig

from hf_ext.tasks.base.discovery import task_modules
from hf_ext.transformers_private import BaseAutoModelClass

# Who says how many labels there are, or which, wants a new head.
_ASKS_FOR_A_NEW_HEAD = ("num_labels", "id2label", "label2id")


class OtherHeadError(LookupError):
    """A folder holds a head of ours that an Auto class has no place for.

    No ValueError: ``pipeline`` takes one for a reason to try the next class, and buries what it says in tracebacks.
    """


def guard_auto_classes() -> None:
    """Guard ``from_pretrained`` of each Auto class; the library gives each a copy of its own."""
    for auto_class in _auto_classes(BaseAutoModelClass):
        own = vars(auto_class).get("from_pretrained")
        if own is not None and not hasattr(own.__func__, "guarded"):
            auto_class.from_pretrained = classmethod(_guarded(own.__func__))


def trained_head(architecture: str) -> Any:
    """The Auto class of ours that opens a model by the name of its class; None: it has no head of ours."""
    if hasattr(transformers, architecture):
        return None
    for module in map(import_module, task_modules("head")):
        for value in vars(module).values():
            is_ours = hasattr(value, "head") and hasattr(value, "_model_mapping")
            if is_ours and architecture.endswith(value.head.suffix):
                return value
    return None


def classes_of_adapter(settings: Mapping[str, Any] | None) -> list[str]:
    """The name of the class that an adapter was trained over, with its head, where its settings say one."""
    mapping = (settings or {}).get("auto_mapping") or {}
    return [mapping["base_model_class"]] if mapping.get("base_model_class") else []


def _auto_classes(base: Any) -> Iterator[Any]:
    yield base
    for one in base.__subclasses__():
        yield from _auto_classes(one)


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def from_pretrained(cls: Any, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        if any(kwargs.get(name) is not None for name in _ASKS_FOR_A_NEW_HEAD):
            return function(cls, pretrained_model_name_or_path, *args, **kwargs)
        name = pretrained_model_name_or_path
        of_adapter = classes_of_adapter(_json(name, kwargs, "adapter_config.json"))
        saved = of_adapter or _architectures(name, kwargs)
        if saved is not None:
            _refuse(cls, name, saved)
        made = function(cls, name, *args, **kwargs)
        # Of a name on the Hub, whose files are not asked for twice.
        model = made[0] if isinstance(made, tuple) else made
        adapters = getattr(model, "peft_config", {}).values()
        _refuse(cls, name, [one for adapter in adapters for one in classes_of_adapter(vars(adapter))])
        if saved is None:
            _refuse(cls, name, model.config.architectures or ())
        return made

    from_pretrained.guarded = True  # type: ignore[attr-defined]
    return from_pretrained


def _architectures(name: Any, options: dict[str, Any]) -> Iterable[str] | None:
    """The names of the classes that a config says, where there is one at hand."""
    config = options.get("config")
    if isinstance(config, PreTrainedConfig):
        return config.architectures or ()
    saved = _json(name, options, "config.json")
    return None if saved is None else saved.get("architectures") or ()


def _json(name: Any, options: dict[str, Any], file: str) -> dict[str, Any] | None:
    """What a file of a folder holds; None of a name on the Hub, and where there is no such file."""
    path = Path(str(name), options.get("subfolder") or "", file)
    if not path.is_file():
        return None
    try:
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        # The library says what is wrong with it.
        return {}
    return settings


def _refuse(auto_class: Any, name: Any, architectures: Iterable[str]) -> None:
    """Raise OtherHeadError if the class would give a model of one of these names another head than it has."""
    if issubclass(auto_class, AutoModel):
        return
    for architecture in architectures:
        right = trained_head(architecture)
        # By the suffix, as code that comes with a checkpoint has classes of its own.
        if right is not None and getattr(getattr(auto_class, "head", None), "suffix", None) != right.head.suffix:
            raise OtherHeadError(
                f"{name} holds a {architecture}, and {auto_class.__name__} would put a new, untrained head in the "
                f'place of its own; load it by hf_ext.{right.__name__} or pipeline("{_task_of(right)}"). Its encoder '
                "is loaded by AutoModel, and a new head over that is made where num_labels or id2label are given"
            )


def _task_of(auto_class: Any) -> str:
    """The name of the pipeline whose models an Auto class opens."""
    from transformers.pipelines import PIPELINE_REGISTRY

    tasks = PIPELINE_REGISTRY.supported_tasks.items()
    return next(task for task, entry in tasks if auto_class in entry["pt"])
