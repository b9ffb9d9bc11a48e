"""RoFormer with linear attention; importing registers it with the Auto classes."""

from hf_ext.models.linear_roformer.cache_linear_roformer import LinearRoFormerCache
from hf_ext.models.linear_roformer.configuration_linear_roformer import LinearRoFormerConfig
from hf_ext.models.linear_roformer.modeling_linear_roformer import (
    LinearRoFormerForCausalLM,
    LinearRoFormerForMaskedLM,
    LinearRoFormerForMultipleChoice,
    LinearRoFormerForQuestionAnswering,
    LinearRoFormerForSequenceClassification,
    LinearRoFormerForTokenClassification,
    LinearRoFormerModel,
)
from hf_ext.registration import register_family
from hf_ext.tokenization import register_tokenizers

__all__ = [
    "LinearRoFormerCache",
    "LinearRoFormerConfig",
    "LinearRoFormerForCausalLM",
    "LinearRoFormerForMaskedLM",
    "LinearRoFormerForMultipleChoice",
    "LinearRoFormerForQuestionAnswering",
    "LinearRoFormerForSequenceClassification",
    "LinearRoFormerForTokenClassification",
    "LinearRoFormerModel",
]

register_family(
    LinearRoFormerConfig,
    {
        "AutoModel": LinearRoFormerModel,
        "AutoModelForTextEncoding": LinearRoFormerModel,
        "AutoModelForMaskedLM": LinearRoFormerForMaskedLM,
        "AutoModelForCausalLM": LinearRoFormerForCausalLM,
        "AutoModelForSequenceClassification": LinearRoFormerForSequenceClassification,
        "AutoModelForTokenClassification": LinearRoFormerForTokenClassification,
        "AutoModelForQuestionAnswering": LinearRoFormerForQuestionAnswering,
        "AutoModelForMultipleChoice": LinearRoFormerForMultipleChoice,
    },
    adapter_targets=("query", "value"),
)
register_tokenizers(LinearRoFormerConfig)
