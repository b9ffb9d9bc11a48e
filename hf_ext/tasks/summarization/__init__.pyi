from .files import read_summaries as read_summaries
from .job import SummarizationJob as SummarizationJob
from .metrics import (
    summary_compute_metrics as summary_compute_metrics,
    summary_scores as summary_scores,
)
from .pipeline import SummaryPipeline as SummaryPipeline
