from .files import (
    DataCollatorForParaphrase as DataCollatorForParaphrase,
    ParaphraseDataset as ParaphraseDataset,
    read_paraphrases as read_paraphrases,
)
from .job import ParaphraseJob as ParaphraseJob
from .metrics import paraphrase_retrieval_accuracy as paraphrase_retrieval_accuracy
from .pipeline import ParaphrasePipeline as ParaphrasePipeline
from .pretraining_job import SimBERTPretrainingJob as SimBERTPretrainingJob
