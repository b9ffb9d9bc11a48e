"""GAU-alpha; importing registers it."""

from hf_ext.models.gau_alpha.configuration_gau_alpha import GAUAlphaConfig
from hf_ext.models.gau_alpha.modeling_gau_alpha import (
    GAUAlphaForMaskedLM,
    GAUAlphaForMultipleChoice,
    GAUAlphaForQuestionAnswering,
    GAUAlphaForSequenceClassification,
    GAUAlphaForTokenClassification,
    GAUAlphaModel,
)
from hf_ext.registration import register_family
from hf_ext.tokenization import register_tokenizers

__all__ = [
    "GAUAlphaConfig",
    "GAUAlphaForMaskedLM",
    "GAUAlphaForMultipleChoice",
    "GAUAlphaForQuestionAnswering",
    "GAUAlphaForSequenceClassification",
    "GAUAlphaForTokenClassification",
    "GAUAlphaModel",
]

register_family(
    GAUAlphaConfig,
    {
        "AutoModel": GAUAlphaModel,
        "AutoModelForTextEncoding": GAUAlphaModel,
        "AutoModelForMaskedLM": GAUAlphaForMaskedLM,
        "AutoModelForSequenceClassification": GAUAlphaForSequenceClassification,
        "AutoModelForTokenClassification": GAUAlphaForTokenClassification,
        "AutoModelForQuestionAnswering": GAUAlphaForQuestionAnswering,
        "AutoModelForMultipleChoice": GAUAlphaForMultipleChoice,
    },
    adapter_targets=("i_dense", "o_dense"),
)
register_tokenizers(GAUAlphaConfig)
