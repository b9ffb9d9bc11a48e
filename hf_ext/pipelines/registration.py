"""Makes ``transformers.pipeline`` know our tasks, without importing its pipelines before the user does."""

from types import ModuleType

from hf_ext.import_hooks import when_imported


def register_pipelines() -> None:
    """Register our tasks as soon as ``transformers.pipelines`` is imported, at once if it is already."""
    when_imported("transformers.pipelines", _register)


def _register(pipelines: ModuleType) -> None:
    from hf_ext.heads.auto import AutoModelForSpanExtraction
    from hf_ext.pipelines.span_extraction import SpanExtractionPipeline

    registry = pipelines.PIPELINE_REGISTRY
    if "span-extraction" in registry.supported_tasks:
        return
    registry.register_pipeline(
        "span-extraction", pipeline_class=SpanExtractionPipeline, pt_model=(AutoModelForSpanExtraction,), type="text"
    )
    # With this attribute a saved pipeline would name its class as remote code, and reloading would ask for trust.
    del SpanExtractionPipeline._registered_impl  # type: ignore[attr-defined]
