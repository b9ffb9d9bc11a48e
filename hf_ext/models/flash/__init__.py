"""FLASH; importing registers it with the Auto classes."""

from hf_ext.models.flash.cache_flash import FLASHCache
from hf_ext.models.flash.configuration_flash import FLASHConfig
from hf_ext.models.flash.modeling_flash import (
    FLASHForCausalLM,
    FLASHForMaskedLM,
    FLASHForMultipleChoice,
    FLASHForQuestionAnswering,
    FLASHForSequenceClassification,
    FLASHForTokenClassification,
    FLASHModel,
)
from hf_ext.registration import register_family
from hf_ext.tokenization import register_tokenizers

__all__ = [
    "FLASHCache",
    "FLASHConfig",
    "FLASHForCausalLM",
    "FLASHForMaskedLM",
    "FLASHForMultipleChoice",
    "FLASHForQuestionAnswering",
    "FLASHForSequenceClassification",
    "FLASHForTokenClassification",
    "FLASHModel",
]

register_family(
    FLASHConfig,
    {
        "AutoModel": FLASHModel,
        "AutoModelForTextEncoding": FLASHModel,
        "AutoModelForMaskedLM": FLASHForMaskedLM,
        "AutoModelForCausalLM": FLASHForCausalLM,
        "AutoModelForSequenceClassification": FLASHForSequenceClassification,
        "AutoModelForTokenClassification": FLASHForTokenClassification,
        "AutoModelForQuestionAnswering": FLASHForQuestionAnswering,
        "AutoModelForMultipleChoice": FLASHForMultipleChoice,
    },
    adapter_targets=("i_dense", "o_dense"),
)
register_tokenizers(FLASHConfig)
