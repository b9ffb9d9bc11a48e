"""Makes ``transformers.pipeline`` know our tasks, without importing its pipelines before the user does."""

from types import ModuleType
from typing import TYPE_CHECKING, Any

from hf_ext.import_hooks import when_imported

if TYPE_CHECKING:
    from transformers import Pipeline


def register_pipelines() -> None:
    """Register our tasks as soon as ``transformers.pipelines`` is imported, at once if it is already."""
    when_imported("transformers.pipelines", _import_ours)


def _import_ours(_: ModuleType) -> None:
    # A pipeline registers at the end of its module, which may itself be what has imported Transformers' pipelines.
    import hf_ext.pipelines.embedding
    import hf_ext.pipelines.event_extraction
    import hf_ext.pipelines.paraphrase
    import hf_ext.pipelines.relation_extraction
    import hf_ext.pipelines.sequence_labeling
    import hf_ext.pipelines.span_extraction  # noqa: F401


def register_task(task: str, pipeline_class: type["Pipeline"], auto_class: Any) -> None:
    """Make ``transformers.pipeline(task)`` give a pipeline of ours, with models of an Auto class."""
    from transformers.pipelines import PIPELINE_REGISTRY

    PIPELINE_REGISTRY.register_pipeline(task, pipeline_class=pipeline_class, pt_model=(auto_class,), type="text")
    # With this attribute a saved pipeline would name its class as remote code, and reloading would ask for trust.
    del pipeline_class._registered_impl  # type: ignore[attr-defined]
