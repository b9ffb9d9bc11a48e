"""Pipelines; importing this registers them."""

from typing import TYPE_CHECKING, Any

from hf_ext.pipelines.registration import register_pipelines

if TYPE_CHECKING:
    from hf_ext.pipelines.span_extraction import SpanExtractionPipeline

__all__ = ["SpanExtractionPipeline", "register_pipelines"]

register_pipelines()


def __getattr__(name: str) -> Any:
    if name != "SpanExtractionPipeline":
        raise AttributeError(f"module 'hf_ext.pipelines' has no attribute {name!r}")
    from hf_ext.pipelines.span_extraction import SpanExtractionPipeline

    return SpanExtractionPipeline
