"""Makes ``transformers.pipeline`` know our tasks, without importing its pipelines before the user does."""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hf_ext.import_hooks import when_imported
from hf_ext.transformers_private import forget_registered_task

if TYPE_CHECKING:
    from transformers import Pipeline


# The modules of the pipelines, what they build on, and what each defines before it registers.
_DEFINED = {
    "embedding": "EmbeddingPipeline",
    "event_extraction": "EventExtractionPipeline",
    "linked_spans": "LinkedSpanPipeline",
    "paraphrase": "ParaphrasePipeline",
    "reading_comprehension": "ReadingComprehensionPipeline",
    "relation_extraction": "RelationExtractionPipeline",
    "sequence_labeling": "SequenceLabelingPipeline",
    "span_extraction": "SpanExtractionPipeline",
}


def register_pipelines() -> None:
    """Register our tasks as soon as ``transformers.pipelines`` is imported, at once if it is already."""
    when_imported("transformers.pipelines", _import_ours)


def _import_ours(_: ModuleType | None = None) -> None:
    # One of ours may itself be what has imported Transformers' pipelines, and others build on it: they wait until it
    # registers, at the end of its module.
    modules = {f"{__package__}.{name}": defined for name, defined in _DEFINED.items()}
    begun = (name for name in modules if name in sys.modules)
    if all(hasattr(sys.modules[name], modules[name]) for name in begun):
        for name in modules:
            import_module(name)


def register_task(task: str, pipeline_class: type["Pipeline"], auto_class: Any) -> None:
    """Make ``transformers.pipeline(task)`` give a pipeline of ours, with models of an Auto class."""
    from transformers.pipelines import PIPELINE_REGISTRY

    PIPELINE_REGISTRY.register_pipeline(task, pipeline_class=pipeline_class, pt_model=(auto_class,), type="text")
    forget_registered_task(pipeline_class)
    _import_ours()
