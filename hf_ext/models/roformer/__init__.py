"""RoFormer, V1 and V2; importing registers them, over Transformers' own RoFormer unless HF_EXT_KEEP_ROFORMER=1."""

import os

from transformers import AutoConfig

from hf_ext.models.roformer.configuration_roformer import RoFormerConfig, RoFormerV2Config
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
from hf_ext.tokenization.registration import know_model_type

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
        other_types=(RoFormerConfig.own_type,),
    )
    AutoConfig.register(RoFormerConfig.own_type, RoFormerV2Config, exist_ok=True)
    register_tokenizers(RoFormerConfig)
    know_model_type(RoFormerConfig.own_type)
