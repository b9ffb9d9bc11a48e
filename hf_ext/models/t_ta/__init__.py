"""T-TA; importing registers it."""

from hf_ext.models.t_ta.configuration_t_ta import TTAConfig
from hf_ext.models.t_ta.modeling_t_ta import (
    TTAForMaskedLM,
    TTAForMultipleChoice,
    TTAForQuestionAnswering,
    TTAForSequenceClassification,
    TTAForTokenClassification,
    TTAModel,
)
from hf_ext.registration import register_family
from hf_ext.tokenization import register_tokenizers

__all__ = [
    "TTAConfig",
    "TTAForMaskedLM",
    "TTAForMultipleChoice",
    "TTAForQuestionAnswering",
    "TTAForSequenceClassification",
    "TTAForTokenClassification",
    "TTAModel",
]

register_family(
    TTAConfig,
    {
        "AutoModel": TTAModel,
        "AutoModelForTextEncoding": TTAModel,
        "AutoModelForMaskedLM": TTAForMaskedLM,
        "AutoModelForSequenceClassification": TTAForSequenceClassification,
        "AutoModelForTokenClassification": TTAForTokenClassification,
        "AutoModelForQuestionAnswering": TTAForQuestionAnswering,
        "AutoModelForMultipleChoice": TTAForMultipleChoice,
    },
    adapter_targets=("query", "value"),
)
register_tokenizers(TTAConfig)
