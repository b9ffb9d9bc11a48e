from .pipeline import ScoringPipeline as ScoringPipeline
from .reranking import (
    read_n_best as read_n_best,
    rerank as rerank,
)
from .spelling_pipeline import SpellingPipeline as SpellingPipeline
