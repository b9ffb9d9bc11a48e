"""BERT under a UniLM or a causal mask: SimBERT (kexue.fm/archives/7427) and NEZHA-GEN's GPT.

Shapes: B batch, L tokens, E embedding size. Parameter names are BERT's.
"""

from typing import Any

from torch import Tensor
from transformers.generation import GenerationMixin

from hf_ext.models.unilm_bert.configuration_unilm_bert import UniLMBertConfig
from hf_ext.modules.causal_lm_head import CausalLMHead
from hf_ext.modules.embeddings import PositionTable, TokenEmbeddings
from hf_ext.modules.encoder_model import EncoderModel, EncoderPreTrainedModel
from hf_ext.modules.family_heads import (
    MaskedLMHead,
    MultipleChoiceHead,
    QuestionAnsweringHead,
    SequenceClassificationHead,
    TokenClassificationHead,
)
from hf_ext.modules.paraphrase_head import ParaphraseHead
from hf_ext.modules.transformer_block import transformer_stack


class UniLMBertEmbeddings(TokenEmbeddings):
    """Token, token-type and position embeddings, and their norm."""

    def __init__(self, config: UniLMBertConfig):
        super().__init__(config)
        self.position_embeddings = PositionTable(config.max_position_embeddings, config.resolved_embedding_size)

    def forward(self, inputs_embeds: Tensor, token_type_ids: Tensor | None, positions: tuple[Tensor, ...]) -> Tensor:
        """Add types and positions to ``inputs_embeds`` ``[B, L, E]`` and normalise."""
        embedded = self.add_types(inputs_embeds, token_type_ids) + self.position_embeddings(*positions)
        return self.dropout(self.LayerNorm(embedded))


class UniLMBertPreTrainedModel(EncoderPreTrainedModel):
    """What the library may do with the family."""

    config: UniLMBertConfig
    base_model_prefix = "bert"
    _keys_to_ignore_on_load_unexpected = [r"embeddings\.position_ids", r"pooler\.", r"cls\.seq_relationship\."]  # noqa: RUF012


class UniLMBertModel(EncoderModel, UniLMBertPreTrainedModel):
    """BERT without a head, under the mask that ``config.attention_mode`` names."""

    config: UniLMBertConfig

    def build(self, config: Any) -> None:
        """Make embeddings and blocks."""
        self.embeddings = UniLMBertEmbeddings(config)
        self.encoder = transformer_stack(config)


UniLMBertPreTrainedModel.base_model_class = UniLMBertModel


class UniLMBertForMaskedLM(MaskedLMHead, UniLMBertPreTrainedModel):
    """BERT under a UniLM or a causal mask with the head that predicts masked tokens."""


class UniLMBertForCausalLM(CausalLMHead, UniLMBertPreTrainedModel, GenerationMixin):
    """BERT under a UniLM or a causal mask that generates, as SimBERT its paraphrases."""


class UniLMBertForParaphrase(ParaphraseHead, UniLMBertPreTrainedModel, GenerationMixin):
    """SimBERT in training: BERT that learns to generate paraphrases and to retrieve them."""


class UniLMBertForSequenceClassification(SequenceClassificationHead, UniLMBertPreTrainedModel):
    """BERT under a UniLM or a causal mask that classifies or scores a text or a pair."""


class UniLMBertForMultipleChoice(MultipleChoiceHead, UniLMBertPreTrainedModel):
    """BERT under a UniLM or a causal mask that picks one of several texts, each scored by its first token."""


class UniLMBertForTokenClassification(TokenClassificationHead, UniLMBertPreTrainedModel):
    """BERT under a UniLM or a causal mask that labels each token on its own."""


class UniLMBertForQuestionAnswering(QuestionAnsweringHead, UniLMBertPreTrainedModel):
    """BERT under a UniLM or a causal mask that scores each token as the start and the end of the answer."""
