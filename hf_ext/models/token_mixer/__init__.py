"""Encoders whose tokens are mixed by other means than attention; importing registers them with the Auto classes."""

from hf_ext.models.token_mixer.configuration_token_mixer import TokenMixerConfig
from hf_ext.models.token_mixer.modeling_token_mixer import (
    TokenMixerForMaskedLM,
    TokenMixerForMultipleChoice,
    TokenMixerForQuestionAnswering,
    TokenMixerForSequenceClassification,
    TokenMixerForTokenClassification,
    TokenMixerModel,
)
from hf_ext.registration import register_family
from hf_ext.tokenization import register_tokenizers

__all__ = [
    "TokenMixerConfig",
    "TokenMixerForMaskedLM",
    "TokenMixerForMultipleChoice",
    "TokenMixerForQuestionAnswering",
    "TokenMixerForSequenceClassification",
    "TokenMixerForTokenClassification",
    "TokenMixerModel",
]

register_family(
    TokenMixerConfig,
    {
        "AutoModel": TokenMixerModel,
        "AutoModelForTextEncoding": TokenMixerModel,
        "AutoModelForMaskedLM": TokenMixerForMaskedLM,
        "AutoModelForSequenceClassification": TokenMixerForSequenceClassification,
        "AutoModelForTokenClassification": TokenMixerForTokenClassification,
        "AutoModelForQuestionAnswering": TokenMixerForQuestionAnswering,
        "AutoModelForMultipleChoice": TokenMixerForMultipleChoice,
    },
    # Those of gated blocks, of BERT's blocks, and of what they have in place of attention: no mixer has all of them.
    adapter_targets=("i_dense", "o_dense", "intermediate.dense", "output.dense", "query", "value"),
)
register_tokenizers(TokenMixerConfig)
