"""Task heads over any encoder, each with its Auto class."""

from hf_ext.heads.auto import AutoModelForSpanExtraction
from hf_ext.heads.generic import EncoderHead, HeadMapping, head_class, head_class_by_name
from hf_ext.heads.span_extraction import SPAN_HEADS, SpanExtraction, SpanExtractionOutput

__all__ = [
    "SPAN_HEADS",
    "AutoModelForSpanExtraction",
    "EncoderHead",
    "HeadMapping",
    "SpanExtraction",
    "SpanExtractionOutput",
    "head_class",
    "head_class_by_name",
]
