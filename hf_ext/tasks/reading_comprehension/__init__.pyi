from .answers import (
    best_answer as best_answer,
    decode_answer_dataset as decode_answer_dataset,
    rank_answers as rank_answers,
    scores_of_none as scores_of_none,
)
from .encoding import (
    DataCollatorForReadingComprehension as DataCollatorForReadingComprehension,
    ReadingEncoder as ReadingEncoder,
    draw_answer as draw_answer,
)
from .evaluate_metric import ReadingMetric as ReadingMetric
from .files import read_questions as read_questions
from .job import ReadingComprehensionJob as ReadingComprehensionJob
from .metrics import (
    reading_compute_metrics as reading_compute_metrics,
    reading_scores as reading_scores,
    span_accuracy as span_accuracy,
)
from .pipeline import ReadingComprehensionPipeline as ReadingComprehensionPipeline
