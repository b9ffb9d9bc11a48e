"""BERT under a UniLM or a causal mask: SimBERT, NEZHA-GEN's GPT; importing registers it."""

from hf_ext.models.unilm_bert.configuration_unilm_bert import UniLMBertConfig
from hf_ext.models.unilm_bert.modeling_unilm_bert import (
    UniLMBertForCausalLM,
    UniLMBertForMaskedLM,
    UniLMBertForMultipleChoice,
    UniLMBertForParaphrase,
    UniLMBertForQuestionAnswering,
    UniLMBertForSequenceClassification,
    UniLMBertForTokenClassification,
    UniLMBertModel,
)
from hf_ext.registration import register_family
from hf_ext.tokenization import register_tokenizers

__all__ = [
    "UniLMBertConfig",
    "UniLMBertForCausalLM",
    "UniLMBertForMaskedLM",
    "UniLMBertForMultipleChoice",
    "UniLMBertForParaphrase",
    "UniLMBertForQuestionAnswering",
    "UniLMBertForSequenceClassification",
    "UniLMBertForTokenClassification",
    "UniLMBertModel",
]

register_family(
    UniLMBertConfig,
    {
        "AutoModel": UniLMBertModel,
        "AutoModelForTextEncoding": UniLMBertModel,
        "AutoModelForMaskedLM": UniLMBertForMaskedLM,
        "AutoModelForCausalLM": UniLMBertForCausalLM,
        "AutoModelForSequenceClassification": UniLMBertForSequenceClassification,
        "AutoModelForTokenClassification": UniLMBertForTokenClassification,
        "AutoModelForQuestionAnswering": UniLMBertForQuestionAnswering,
        "AutoModelForMultipleChoice": UniLMBertForMultipleChoice,
    },
    adapter_targets=("query", "value"),
)
register_tokenizers(UniLMBertConfig)
