"""Task heads over any encoder, each with its Auto class."""

from hf_ext.heads.auto import (
    AutoModelForEventExtraction,
    AutoModelForReadingComprehension,
    AutoModelForRelationExtraction,
    AutoModelForSequenceLabeling,
    AutoModelForSpanExtraction,
)
from hf_ext.heads.event_extraction import EventExtraction
from hf_ext.heads.generic import EncoderHead, HeadMapping, head_class, head_class_by_name
from hf_ext.heads.linked_spans import LinkedSpanHead, LinkedSpanOutput
from hf_ext.heads.reading_comprehension import ANSWER_HEADS, ReadingComprehension, ReadingComprehensionOutput
from hf_ext.heads.relation_extraction import RelationExtraction
from hf_ext.heads.sequence_labeling import SEQUENCE_HEADS, SequenceLabeling, SequenceLabelingOutput
from hf_ext.heads.span_extraction import SPAN_HEADS, SpanExtraction, SpanExtractionOutput

__all__ = [
    "ANSWER_HEADS",
    "SEQUENCE_HEADS",
    "SPAN_HEADS",
    "AutoModelForEventExtraction",
    "AutoModelForReadingComprehension",
    "AutoModelForRelationExtraction",
    "AutoModelForSequenceLabeling",
    "AutoModelForSpanExtraction",
    "EncoderHead",
    "EventExtraction",
    "HeadMapping",
    "LinkedSpanHead",
    "LinkedSpanOutput",
    "ReadingComprehension",
    "ReadingComprehensionOutput",
    "RelationExtraction",
    "SequenceLabeling",
    "SequenceLabelingOutput",
    "SpanExtraction",
    "SpanExtractionOutput",
    "head_class",
    "head_class_by_name",
]
