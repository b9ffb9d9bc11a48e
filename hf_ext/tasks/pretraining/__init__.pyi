from .document_encoding import DocumentEncoder as DocumentEncoder
from .pseudo_summary import (
    DataCollatorForPseudoSummary as DataCollatorForPseudoSummary,
    make_pseudo_summary as make_pseudo_summary,
)
from .whole_word_masking import DataCollatorForWholeWordMasking as DataCollatorForWholeWordMasking
