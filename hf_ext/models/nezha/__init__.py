"""NEZHA and NEZHA-GPT; importing registers it."""

from hf_ext.models.nezha.configuration_nezha import NezhaConfig
from hf_ext.models.nezha.modeling_nezha import (
    NezhaForCausalLM,
    NezhaForMaskedLM,
    NezhaForMultipleChoice,
    NezhaForQuestionAnswering,
    NezhaForSequenceClassification,
    NezhaForTokenClassification,
    NezhaModel,
)
from hf_ext.registration import register_family
from hf_ext.tokenization import register_tokenizers

__all__ = [
    "NezhaConfig",
    "NezhaForCausalLM",
    "NezhaForMaskedLM",
    "NezhaForMultipleChoice",
    "NezhaForQuestionAnswering",
    "NezhaForSequenceClassification",
    "NezhaForTokenClassification",
    "NezhaModel",
]

register_family(
    NezhaConfig,
    {
        "AutoModel": NezhaModel,
        "AutoModelForTextEncoding": NezhaModel,
        "AutoModelForMaskedLM": NezhaForMaskedLM,
        "AutoModelForCausalLM": NezhaForCausalLM,
        "AutoModelForSequenceClassification": NezhaForSequenceClassification,
        "AutoModelForTokenClassification": NezhaForTokenClassification,
        "AutoModelForQuestionAnswering": NezhaForQuestionAnswering,
        "AutoModelForMultipleChoice": NezhaForMultipleChoice,
    },
    adapter_targets=("query", "value"),
)
register_tokenizers(NezhaConfig)
