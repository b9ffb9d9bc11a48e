"""RoFormer, V1 and V2: the encoder and its heads (kexue.fm/archives/8265, 8998; arXiv 2104.09864).

Shapes: B batch, L tokens, D head size, E embedding size. Parameter names are those of Transformers' RoFormer and of the
checkpoints on the Hub.
"""

from typing import Any

from torch import Tensor
from transformers.generation import GenerationMixin

from hf_ext.models.roformer.configuration_roformer import RoFormerConfig
from hf_ext.modules.causal_lm_head import CausalLMHead
from hf_ext.modules.embeddings import TokenEmbeddings
from hf_ext.modules.encoder_model import EncoderPreTrainedModel
from hf_ext.modules.extrapolating_attention import ExtrapolatingSelfAttention
from hf_ext.modules.extrapolating_model import ExtrapolatingModel, chosen_implementation
from hf_ext.modules.extrapolation_rules import check_combinations
from hf_ext.modules.family_heads import (
    MaskedLMHead,
    MultipleChoiceHead,
    QuestionAnsweringHead,
    SequenceClassificationHead,
    TokenClassificationHead,
)
from hf_ext.modules.paraphrase_head import ParaphraseHead
from hf_ext.modules.rotary_positions import rotations
from hf_ext.modules.trainable_frequencies import TrainableFrequencies
from hf_ext.modules.transformer_block import transformer_stack


class RoFormerSelfAttention(ExtrapolatingSelfAttention):
    """Multi-head attention with rotated queries and keys, and values if the config says so."""


class RoFormerPreTrainedModel(EncoderPreTrainedModel):
    """What the library may do with the family."""

    config: RoFormerConfig
    base_model_prefix = "roformer"
    # The table of sines that the built-in RoFormer saves, and a pooler where the head does without.
    _keys_to_ignore_on_load_unexpected = [r"encoder\.embed_positions\.weight", r"pooler\."]  # noqa: RUF012
    _keep_in_fp32_modules_strict = ["rotary"]  # noqa: RUF012

    def get_correct_attn_implementation(self, requested_attention: str | None, *args: Any, **kwargs: Any) -> str:
        """The attention implementation that runs: unless told otherwise, one that can do what the config says."""
        chosen = chosen_implementation(self.config, requested_attention)
        return super().get_correct_attn_implementation(chosen, *args, **kwargs)


class RoFormerModel(ExtrapolatingModel, RoFormerPreTrainedModel):
    """RoFormer without a head."""

    config: RoFormerConfig

    def build(self, config: Any) -> None:
        """Make embeddings and blocks."""
        self.embeddings = TokenEmbeddings(config)
        self.encoder = transformer_stack(config, RoFormerSelfAttention)
        if config.trainable_frequencies:
            theta = (config.rope_parameters or {}).get("rope_theta", config.default_theta)
            self.rotary = TrainableFrequencies(config.head_size, theta)

    def position_tensors(self, position_ids: Tensor) -> tuple[Tensor, ...]:
        """Rotations of all layers, cos and sin ``[B or 1, L, D/2]`` each, in float32 or better."""
        if self.config.trainable_frequencies:
            check_combinations(self.config)
            rotary: TrainableFrequencies = self.rotary
            return rotary(position_ids, self.dtype)
        return rotations(self.config, position_ids, self.dtype)


RoFormerPreTrainedModel.base_model_class = RoFormerModel


class RoFormerForMaskedLM(MaskedLMHead, RoFormerPreTrainedModel):
    """RoFormer with the head that predicts masked tokens."""


class RoFormerForCausalLM(CausalLMHead, RoFormerPreTrainedModel, GenerationMixin):
    """RoFormer that generates: left to right, or as UniLM (``config.attention_mode``)."""


class RoFormerForParaphrase(ParaphraseHead, RoFormerPreTrainedModel, GenerationMixin):
    """RoFormer-Sim in training: RoFormer that learns to generate paraphrases and to retrieve them."""

    similarity_scale = 20.0


class RoFormerForSequenceClassification(SequenceClassificationHead, RoFormerPreTrainedModel):
    """RoFormer that classifies or scores a text or a pair."""


class RoFormerForMultipleChoice(MultipleChoiceHead, RoFormerPreTrainedModel):
    """RoFormer that picks one of several texts, each scored by its first token."""


class RoFormerForTokenClassification(TokenClassificationHead, RoFormerPreTrainedModel):
    """RoFormer that labels each token on its own."""


class RoFormerForQuestionAnswering(QuestionAnsweringHead, RoFormerPreTrainedModel):
    """RoFormer that scores each token as the start and the end of the answer."""
