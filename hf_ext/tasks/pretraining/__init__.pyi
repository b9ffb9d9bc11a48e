from .all_tokens import DataCollatorForAllTokens as DataCollatorForAllTokens
from .document_encoding import DocumentEncoder as DocumentEncoder
from .job import (
    AllTokensJob as AllTokensJob,
    CausalLanguageModelingJob as CausalLanguageModelingJob,
    MaskedLanguageModelingJob as MaskedLanguageModelingJob,
    PseudoSummaryJob as PseudoSummaryJob,
    WholeWordMaskingJob as WholeWordMaskingJob,
)
from .pseudo_summary import (
    DataCollatorForPseudoSummary as DataCollatorForPseudoSummary,
    make_pseudo_summary as make_pseudo_summary,
)
from .whole_word_masking import DataCollatorForWholeWordMasking as DataCollatorForWholeWordMasking
