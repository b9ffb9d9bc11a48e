"""Makes ``transformers.pipeline`` know our tasks, without importing its pipelines before the user does."""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hf_ext.import_hooks import when_imported
from hf_ext.tasks.base.discovery import task_modules
from hf_ext.transformers_private import forget_registered_task

if TYPE_CHECKING:
    from transformers import Pipeline

# What the pipelines of tasks build on.
_BASES = tuple(f"hf_ext.tasks.base.{name}_pipeline" for name in ("task", "text", "window", "linked_span", "tag"))
_imported: set[str] = set()


def register_pipelines() -> None:
    """Register the pipelines of all tasks once ``transformers.pipelines`` is imported, at once if it is already."""
    when_imported("transformers.pipelines", _import_ours)


def _import_ours(_: ModuleType | None = None) -> None:
    # One of ours may itself be what has imported Transformers' pipelines, and others build on it or on its base: they
    # wait until it says so, at the end of its module.
    modules = task_modules("pipeline")
    if not any(_is_being_imported(name) for name in (*_BASES, *modules) if name not in _imported):
        for name in modules:
            import_module(name)


def _is_being_imported(name: str) -> bool:
    return name in sys.modules and getattr(sys.modules[name].__spec__, "_initializing", False)


def register_task(task: str, pipeline_class: type["Pipeline"], *auto_classes: Any, kind: str = "text") -> None:
    """Make ``transformers.pipeline(task)`` give a pipeline of ours, with models of Auto classes.

    Args:
        task: its name.
        pipeline_class: of the pipeline.
        *auto_classes: open its models, the first of them all.
        kind: what it reads, ``"text"`` or ``"image"``.
    """
    from transformers.pipelines import PIPELINE_REGISTRY

    PIPELINE_REGISTRY.register_pipeline(task, pipeline_class=pipeline_class, pt_model=auto_classes, type=kind)
    forget_registered_task(pipeline_class)
    module_imported(pipeline_class.__module__)


def module_imported(name: str) -> None:
    """Import the pipelines of all tasks, which may have waited for this module, of which this is the last line."""
    _imported.add(name)
    _import_ours()
