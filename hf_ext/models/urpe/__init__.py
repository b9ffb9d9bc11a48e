"""URPE, universal relative position encoding; importing registers it."""

from hf_ext.models.urpe.configuration_urpe import URPEConfig
from hf_ext.models.urpe.modeling_urpe import (
    URPEForCausalLM,
    URPEForMaskedLM,
    URPEForMultipleChoice,
    URPEForQuestionAnswering,
    URPEForSequenceClassification,
    URPEForTokenClassification,
    URPEModel,
)
from hf_ext.registration import register_family
from hf_ext.tokenization import register_tokenizers

__all__ = [
    "URPEConfig",
    "URPEForCausalLM",
    "URPEForMaskedLM",
    "URPEForMultipleChoice",
    "URPEForQuestionAnswering",
    "URPEForSequenceClassification",
    "URPEForTokenClassification",
    "URPEModel",
]

register_family(
    URPEConfig,
    {
        "AutoModel": URPEModel,
        "AutoModelForTextEncoding": URPEModel,
        "AutoModelForMaskedLM": URPEForMaskedLM,
        "AutoModelForCausalLM": URPEForCausalLM,
        "AutoModelForSequenceClassification": URPEForSequenceClassification,
        "AutoModelForTokenClassification": URPEForTokenClassification,
        "AutoModelForQuestionAnswering": URPEForQuestionAnswering,
        "AutoModelForMultipleChoice": URPEForMultipleChoice,
    },
    adapter_targets=("query", "value"),
)
register_tokenizers(URPEConfig)
