from .collator import DataCollatorForSimilarity as DataCollatorForSimilarity
from .files import (
    read_text_pairs as read_text_pairs,
    read_texts_alone as read_texts_alone,
)
from .job import SimilarityJob as SimilarityJob
from .pair_pipeline import SimilarityPipeline as SimilarityPipeline
from .pipeline import EmbeddingPipeline as EmbeddingPipeline
