"""GAU-alpha: the encoder and its heads (kexue.fm/archives/9052; arXiv 2205.05842).

Shapes: B batch, L tokens, K size of the query and key head.
"""

from typing import Any

from torch import Tensor

from hf_ext.models.gau_alpha.configuration_gau_alpha import GAUAlphaConfig
from hf_ext.models.gau_alpha.layers_gau_alpha import FUSED, GatedAttentionUnit, GAUAlphaEncoder, GAUAlphaLayer
from hf_ext.modules.embeddings import TokenEmbeddings
from hf_ext.modules.encoder_model import EncoderModel, EncoderPreTrainedModel
from hf_ext.modules.family_heads import (
    MaskedLMHead,
    MultipleChoiceHead,
    QuestionAnsweringHead,
    SequenceClassificationHead,
    TokenClassificationHead,
)
from hf_ext.modules.normalised_attention import BACK_ENDS
from hf_ext.modules.rotary_positions import rotations
from hf_ext.transformers_private import OutputRecorder


class GAUAlphaPreTrainedModel(EncoderPreTrainedModel):
    """What the library may do with the family."""

    config: GAUAlphaConfig
    base_model_prefix = "gau_alpha"
    _no_split_modules = ["GAUAlphaLayer"]  # noqa: RUF012
    # Its kernels want values as wide as queries.
    _supports_flash_attn = False
    _can_record_outputs = {  # noqa: RUF012
        "hidden_states": GAUAlphaLayer,
        "attentions": OutputRecorder(GatedAttentionUnit, index=1, layer_name="gau"),
    }

    def get_correct_attn_implementation(self, requested_attention: str | None, *args: Any, **kwargs: Any) -> str:
        """The attention implementation that runs: unless told otherwise, the one made for these units.

        Raises:
            ValueError: for one that divides by the sum of the weights, where the config wants another norm.
        """
        if self.config.attention_normalization != "softmax":
            requested_attention = requested_attention or BACK_ENDS[0]
            if requested_attention not in BACK_ENDS:
                raise ValueError(
                    f"attn_implementation must be one of {BACK_ENDS} under "
                    f"attention_normalization={self.config.attention_normalization!r}, got {requested_attention!r}"
                )
        return super().get_correct_attn_implementation(requested_attention or FUSED, *args, **kwargs)


class GAUAlphaModel(EncoderModel, GAUAlphaPreTrainedModel):
    """GAU-alpha without a head."""

    config: GAUAlphaConfig
    takes_cache = False

    def build(self, config: Any) -> None:
        """Make embeddings and blocks."""
        self.embeddings = TokenEmbeddings(config)
        self.encoder = GAUAlphaEncoder(config)

    def position_tensors(self, position_ids: Tensor) -> tuple[Tensor, ...]:
        """Rotations of all layers, cos and sin ``[B or 1, L, K/2]`` each, in float32 or better."""
        return rotations(self.config, position_ids, self.dtype)


GAUAlphaPreTrainedModel.base_model_class = GAUAlphaModel


class GAUAlphaForMaskedLM(MaskedLMHead, GAUAlphaPreTrainedModel):
    """GAU-alpha with the head that predicts masked tokens: the token embedding alone."""

    _tp_plan = None


class GAUAlphaForSequenceClassification(SequenceClassificationHead, GAUAlphaPreTrainedModel):
    """GAU-alpha that classifies or scores a text or a pair."""


class GAUAlphaForMultipleChoice(MultipleChoiceHead, GAUAlphaPreTrainedModel):
    """GAU-alpha that picks one of several texts, each scored by its first token."""


class GAUAlphaForTokenClassification(TokenClassificationHead, GAUAlphaPreTrainedModel):
    """GAU-alpha that labels each token on its own."""


class GAUAlphaForQuestionAnswering(QuestionAnsweringHead, GAUAlphaPreTrainedModel):
    """GAU-alpha that scores each token as the start and the end of the answer."""
