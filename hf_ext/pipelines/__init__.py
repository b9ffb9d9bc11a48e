"""Pipelines; importing this registers them."""

from typing import TYPE_CHECKING

from hf_ext.lazy_names import lazy_names
from hf_ext.pipelines.registration import register_pipelines

if TYPE_CHECKING:
    from hf_ext.pipelines.embedding import EmbeddingPipeline
    from hf_ext.pipelines.event_extraction import EventExtractionPipeline
    from hf_ext.pipelines.paraphrase import ParaphrasePipeline
    from hf_ext.pipelines.reading_comprehension import ReadingComprehensionPipeline
    from hf_ext.pipelines.relation_extraction import RelationExtractionPipeline
    from hf_ext.pipelines.sequence_labeling import SequenceLabelingPipeline
    from hf_ext.pipelines.span_extraction import SpanExtractionPipeline

__all__ = [
    "EmbeddingPipeline",
    "EventExtractionPipeline",
    "ParaphrasePipeline",
    "ReadingComprehensionPipeline",
    "RelationExtractionPipeline",
    "SequenceLabelingPipeline",
    "SpanExtractionPipeline",
    "register_pipelines",
]

register_pipelines()

# Transformers' pipelines are imported with it.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "hf_ext.pipelines.embedding": ("EmbeddingPipeline",),
        "hf_ext.pipelines.event_extraction": ("EventExtractionPipeline",),
        "hf_ext.pipelines.paraphrase": ("ParaphrasePipeline",),
        "hf_ext.pipelines.reading_comprehension": ("ReadingComprehensionPipeline",),
        "hf_ext.pipelines.relation_extraction": ("RelationExtractionPipeline",),
        "hf_ext.pipelines.sequence_labeling": ("SequenceLabelingPipeline",),
        "hf_ext.pipelines.span_extraction": ("SpanExtractionPipeline",),
    },
)
