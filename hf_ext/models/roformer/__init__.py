"""RoFormer, V1 and V2; importing registers them, over Transformers' own RoFormer unless HF_EXT_KEEP_ROFORMER=1."""

import os

from hf_ext.models.roformer.configuration_roformer import RoFormerConfig
from hf_ext.models.roformer.modeling_roformer import (
    RoFormerForCausalLM,
    RoFormerForMaskedLM,
    RoFormerForMultipleChoice,
    RoFormerForParaphrase,
    RoFormerForQuestionAnswering,
    RoFormerForSequenceClassification,
    RoFormerForTokenClassification,
    RoFormerModel,
)
from hf_ext.registration import register_family
from hf_ext.tokenization import register_tokenizers

__all__ = [
    "RoFormerConfig",
    "RoFormerForCausalLM",
    "RoFormerForMaskedLM",
    "RoFormerForMultipleChoice",
    "RoFormerForParaphrase",
    "RoFormerForQuestionAnswering",
    "RoFormerForSequenceClassification",
    "RoFormerForTokenClassification",
    "RoFormerModel",
]

if os.environ.get("HF_EXT_KEEP_ROFORMER") != "1":
    register_family(
        RoFormerConfig,
        {
            "AutoModel": RoFormerModel,
            "AutoModelForTextEncoding": RoFormerModel,
            "AutoModelForMaskedLM": RoFormerForMaskedLM,
            "AutoModelForCausalLM": RoFormerForCausalLM,
            "AutoModelForSequenceClassification": RoFormerForSequenceClassification,
            "AutoModelForTokenClassification": RoFormerForTokenClassification,
            "AutoModelForQuestionAnswering": RoFormerForQuestionAnswering,
            "AutoModelForMultipleChoice": RoFormerForMultipleChoice,
        },
        adapter_targets=("query", "value"),
    )
    register_tokenizers(RoFormerConfig)
