from .answers import (
    decoded_scores as decoded_scores,
    ensemble_scores as ensemble_scores,
    label_scores as label_scores,
)
from .collator import DataCollatorForCloze as DataCollatorForCloze
from .encoding import (
    ClozeEncoder as ClozeEncoder,
    add_soft_tokens as add_soft_tokens,
    encode_cloze as encode_cloze,
    encode_unlabelled as encode_unlabelled,
    soft_token_ids as soft_token_ids,
)
from .files import (
    read_cloze_texts as read_cloze_texts,
    read_unlabelled_texts as read_unlabelled_texts,
)
from .job import ClozeJob as ClozeJob
from .pattern import (
    ClozePattern as ClozePattern,
    shipped_patterns as shipped_patterns,
)
from .pipeline import ClozeClassificationPipeline as ClozeClassificationPipeline
from .rows import ClozeRows as ClozeRows
from .soft_tokens import tune_tokens as tune_tokens
from .trainer import ClozeTrainer as ClozeTrainer
